"""`python -m rcc_onnx` is `rcc-onnx`."""

from rcc_onnx.cli import main

if __name__ == "__main__":
    main()
