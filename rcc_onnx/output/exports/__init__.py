"""Findings in the patient as files for other programs: NIfTI, DICOM SEG and SR (docs/outputs.md).

nibabel and highdicom are imported inside of functions: they are extras, and take a second.
"""

from rcc_onnx.output.exports.names import (
    has_lesion_probability,
    has_segments,
    kidney_probability_name,
    lesion_probability_name,
    mask_name,
    seg_name,
    sr_name,
)
from rcc_onnx.output.exports.nifti import (
    write_kidney_probability,
    write_lesion_probability,
    write_mask,
)
from rcc_onnx.output.exports.packages import check_saving
from rcc_onnx.output.exports.sameness import same_but_for_times
from rcc_onnx.output.exports.seg import write_seg
from rcc_onnx.output.exports.sr import write_sr

__all__ = [
    "check_saving",
    "has_lesion_probability",
    "has_segments",
    "kidney_probability_name",
    "lesion_probability_name",
    "mask_name",
    "same_but_for_times",
    "seg_name",
    "sr_name",
    "write_kidney_probability",
    "write_lesion_probability",
    "write_mask",
    "write_seg",
    "write_sr",
]
