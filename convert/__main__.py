"""`python -m convert`; see `convert.cli`."""

import sys

try:
    from convert.cli import main
except ModuleNotFoundError as missing:
    sys.stderr.write(
        f"error [convert-packages]: conversion needs the package {missing.name}; install what it "
        "needs, in the checkout, with: pip install '.[convert]'\n"
    )
    raise SystemExit(2) from None

if __name__ == "__main__":
    main()
