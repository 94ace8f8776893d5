"""The frozen program: `rcc-onnx`."""

import multiprocessing


def main() -> None:
    # First of all: a worker process is this program too, called with other arguments.
    multiprocessing.freeze_support()
    from rcc_onnx.cli.app import main as command  # noqa: PLC0415  workers do without

    command()


if __name__ == "__main__":
    main()
