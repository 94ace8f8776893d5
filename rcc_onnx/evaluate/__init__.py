"""Results against labels: the published study's table on one's own cohort (docs/evaluate.md).

`labels` reads the CSV, `cohort` the results, and matches them; `statistics` and `figures` count;
`mask_files` reads masks and `masks` compares them; `report` is the document, the tables and the
terminal, `plots` the pictures.
"""

import importlib

from rcc_onnx.errors import MissingExtraError


def require(*packages: str, purpose: str, alternative: str) -> None:
    """Check that optional packages can be imported, before any work is done.

    Args:
        packages: names to import.
        purpose: what they are needed for, as the start of a sentence.
        alternative: what else the user could do, as its end.

    Raises:
        MissingExtraError: one cannot be imported.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise MissingExtraError(
                f"{purpose} needs {package}, which cannot be imported here ({error}). Install it "
                f'with pip install "rcc-onnx[evaluate]", or {alternative}'
            ) from error
