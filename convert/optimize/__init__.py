"""Rewrites of ONNX graphs: equal bytes, faster forms for CPUs, 8-bit integers and float16."""
