"""`python -m rcc_onnx` is `rcc-onnx`."""

from rcc_onnx.cli.app import main

if __name__ == "__main__":
    main()
