"""Rewrites of ONNX graphs: equal bytes, faster variants for CPUs, 8-bit integers and float16."""
