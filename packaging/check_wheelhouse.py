"""Install a wheelhouse without a network: `python packaging/check_wheelhouse.py WHEELS ENV`.

Makes the environment ENV with the Python that runs this, and installs into it from the folder
WHEELS, with hashes, in a network namespace without any interface (Linux, `unshare`). Then `demo`
must find what the phantom holds, in there too, with an empty home that stays empty.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMESPACES = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
"""As root, and as a user where the system lets users have namespaces."""


def without_network() -> tuple[str, ...]:
    """Return the prefix of commands without a network. Raises SystemExit if there is none here."""
    for prefix in NAMESPACES:
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0:
            return prefix
    raise SystemExit("this needs unshare, and the right to make a network namespace")


def main() -> None:
    started = time.monotonic()
    wheels, folder = (Path(argument).resolve() for argument in sys.argv[1:3])
    offline = without_network()
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    flags = ("--quiet", "--no-index", "--find-links", ".", "--require-hashes")
    install = [*offline, python, "-m", "pip", "install", *flags, "-r", "requirements.txt"]
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-offline-") as scratch:
        home = Path(scratch, "home")
        home.mkdir()
        data = str(Path(scratch, "data"))
        environ = {"HOME": str(home), "PATH": os.environ["PATH"], "RCC_ONNX_HOME": data}
        # pip's settings name indexes of this machine, and pip may keep files in the home folder.
        for_pip = {**environ, "HOME": scratch, "PIP_CONFIG_FILE": os.devnull}
        subprocess.run(install, cwd=wheels, env=for_pip, check=True)
        demo = [*offline, str(folder / "bin" / "rcc-onnx"), "demo"]
        done = subprocess.run(
            demo, cwd=scratch, env=environ, check=True, text=True, stdout=subprocess.PIPE
        )
        left = sorted(path.name for path in home.rglob("*"))
    if "left: suspected lesion" not in done.stdout or left:
        raise SystemExit(f"{done.stdout}\nleft in the home folder: {left}")
    print(f"installed and tried without a network ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    main()
