"""What the command line logs, and where: standard error, and nothing of a patient."""

import logging
import sys
import warnings

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""By how often `-v` was given."""


def set_up_logging(verbose: int = 0) -> None:
    """Log what this package says. Others are heard only where they warn, pydicom never."""
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("rcc_onnx").setLevel(LEVELS[min(verbose, len(LEVELS) - 1)])
    # pydicom logs what decoders tried, with tracebacks, and warns of values that break their VR:
    # both may quote a patient's data.
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="pydicom")
