"""Studies analysed as they arrive: `rcc-onnx watch` (docs/watch.md)."""
