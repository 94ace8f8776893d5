"""What the command line logs, and where: standard error, and nothing of a patient."""

import logging
import sys
import warnings

LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)
"""By how often `-v` was given."""


def set_up_logging(verbose: int = 0) -> None:
    """Log what this package says. Others are heard only where they warn, pydicom never."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_heard)
    level = LEVELS[min(verbose, len(LEVELS) - 1)]
    form = "%(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=level, format=form, handlers=[handler])


def silence_warnings() -> None:
    """For a process of our own: libraries warn of values that break their VR, and quote them."""
    warnings.simplefilter("ignore")


def _is_heard(record: logging.LogRecord) -> bool:
    """pydicom logs what decoders tried and what values it does not understand, and quotes them.

    It is told by name here: a level that its logger is given is set anew when it is imported.
    """
    package = record.name.split(".")[0]
    return package == "rcc_onnx" or (package != "pydicom" and record.levelno >= logging.WARNING)
