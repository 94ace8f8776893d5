"""The frozen program: `rcc-onnx`, and modules of rcc_onnx that it starts as `PYTHON -m MODULE`.

Here PYTHON is this program, so it accepts `-m` for modules of rcc_onnx, and for no others.
"""

import multiprocessing
import runpy
import sys


def main() -> None:
    # First of all: a worker process of `infer` is this program too, called with other arguments.
    multiprocessing.freeze_support()
    if len(sys.argv) > 2 and sys.argv[1] == "-m" and sys.argv[2].startswith("rcc_onnx."):
        module = sys.argv[2]
        sys.argv = [module, *sys.argv[3:]]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        return
    from rcc_onnx.cli.app import main as command  # noqa: PLC0415  workers do without

    command()


if __name__ == "__main__":
    main()
