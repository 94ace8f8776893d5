"""Which files a case has here, and what they are called."""

from rcc_onnx.results import CaseResult


def mask_name(case: str) -> str:
    return f"{case}_mask.nii.gz"


def kidney_probability_name(case: str) -> str:
    return f"{case}_kidney_probability.nii.gz"


def lesion_probability_name(case: str) -> str:
    return f"{case}_lesion_probability.nii.gz"


def seg_name(case: str) -> str:
    return f"{case}_seg.dcm"


def sr_name(case: str) -> str:
    return f"{case}_sr.dcm"


def has_segments(result: CaseResult) -> bool:
    """Whether any mask has a voxel: a Segmentation without segments cannot be (PS3.3 C.8.20.2)."""
    return result.patient_images is not None and bool(result.patient_images.masks)


def has_lesion_probability(result: CaseResult) -> bool:
    """Whether the lesion network ran."""
    return result.network_images is not None and bool(result.network_images.crops)
