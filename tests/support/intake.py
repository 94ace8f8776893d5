"""Short views of what reading a study gave."""

from rcc_onnx.dicom import Study


def skipped(study: Study) -> dict[str, str]:
    """Reasons by file name."""
    return {file.file: file.reason for file in study.skipped_files}


def warnings(study: Study) -> dict[str, str]:
    """Texts by code."""
    return {note.code: note.text for note in study.record.warnings}
