"""All speed and memory benchmarks, one after the other: `python -m benchmarks --help`.

About a quarter of an hour on two cores. Each writes its document and its section of RESULTS.md when
it is done, so that an interrupted run keeps the others.
"""

import subprocess
import sys
import time

from benchmarks import common

SCRIPTS = ("limit", "networks", "engines", "startup", "writing", "memory", "scaling")
QUICK = {
    "limit": ["--repeats", "4"],
    "networks": ["--repeats", "4"],
    "engines": ["--repeats", "2", "--whole", "1"],
    "startup": ["--repeats", "2"],
    "writing": ["--repeats", "3"],
    "memory": ["--cases", "10"],
    "scaling": ["--repeats", "1"],
}


def main() -> None:
    parser = common.parser(__doc__, "NAME")
    parser.set_defaults(results=common.RESULTS)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about five minutes")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, metavar="NAME")
    options = parser.parse_args()
    if options.json is not None:
        parser.error("each benchmark has a document of its own; name a folder with --work")
    failed = []
    for script in options.only:
        command = [sys.executable, "-m", f"benchmarks.{script}", "--work", str(options.work)]
        command += ["--threads", str(options.threads), "--results", str(options.results)]
        command += ["--fresh"] if options.fresh else []
        command += QUICK[script] if options.quick else []
        started = time.perf_counter()
        if subprocess.run(command, cwd=common.ROOT, check=False).returncode:
            failed.append(script)
        print(f"{script}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
