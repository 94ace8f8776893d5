"""Keras files: read without running them, built, exported to ONNX and compared with the export."""
