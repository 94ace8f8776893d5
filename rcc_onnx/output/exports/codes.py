"""The codes that SEG and SR use (docs/outputs.md), from SNOMED CT, DICOM (PS3.16) and UCUM."""

from pydicom.sr.coding import Code

from rcc_onnx.types import Side

KIDNEY = Code("64033007", "SCT", "Kidney")
LESION = Code("52988006", "SCT", "Lesion")
ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LATERALITY: dict[Side, Code] = {
    "right": Code("24028007", "SCT", "Right"),
    "left": Code("7771000", "SCT", "Left"),
}

CERTAINTY = Code("246103008", "SCT", "Certainty")
SUSPECTED = Code("415684004", "SCT", "Suspected")
NOT_DETECTED = Code("260415000", "SCT", "Not detected")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
MAXIMUM = Code("56851009", "SCT", "Maximum")
CUBIC_CENTIMETRE = Code("cm3", "UCUM", "Cubic centimeter")
MILLIMETRE = Code("mm", "UCUM", "millimeter")
HOUNSFIELD_UNIT = Code("[hnsf'U]", "UCUM", "Hounsfield unit")

ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
DEVICE = Code("121007", "DCM", "Device")
COMMENT = Code("121106", "DCM", "Comment")
CT = Code("25045-6", "LN", "CT Unspecified Body Region")
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
