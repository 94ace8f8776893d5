"""Texts of headers as they may be shown in results, messages and logs (docs/outputs.md, Privacy).

Texts of a DICOM header are typed by people, and a patient's name can stand in any of them. Every
text that leaves the intake goes through one of these functions: words that a scanner or a protocol
writes are listed here and shown, any other is replaced by `UNSHOWN`.
"""

import re
from collections.abc import Collection, Sequence
from itertools import groupby


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PATIENT_POSITIONS = frozenset(
    {"HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL", "LFP", "LFS", "RFP", "RFS"}
    | {"AFDR", "AFDL", "PFDR", "PFDL", "SITTING"}
)
"""PS3.3 C.7.3.1.1.2."""

MODALITIES = _words("""
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID
    GM HC HD IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV
    OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD
    RTSEGANN RTSTRUCT SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC
""")
"""PS3.3 C.7.3.1.1.1."""

PHOTOMETRIC_INTERPRETATIONS = frozenset(
    ["MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB"]
    + [f"YBR_{kind}" for kind in ("FULL", "FULL_422", "PARTIAL_422", "PARTIAL_420", "ICT", "RCT")]
)
"""PS3.3 C.7.6.3.1.2, retired ones too."""

IMAGE_TYPES = _words("""
    ORIGINAL DERIVED MIXED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME ANGIO CARDIAC DYNAMIC
    PERFUSION FLUOROSCOPY REST STRESS ATTENUATION NONE MPR CPR REFORMATTED RESAMPLED
    MULTIPLANAR STD HELIX SPI SEQ TOPO SCOUT AVERAGE JP2K LOSSY OTHER PROCESSED SCREENSHOT CSA
    PARALLEL MIP MINIP MAX_IP MIN_IP MAX MIN MEAN PROJECTION VRT SUBTRACTION ADDITION
    MULTIPLICATION DIVISION QUANTITY PARAMETER DUALENERGY MAT_SPECIFIC MAT_REMOVED
    MAT_FRACTIONAL MAT_MODIFIED EFF_ATOMIC_NUM ELECTRON_DENSITY MONOENERGETIC VMI
    ENERGY_PROP_WT ENERGY_PROP_SEL GSI IMAGE SCREEN SAVE VOLUME_RENDER SURFACE_RENDER FILTERED
    MEDIAN EDGE_ENHANCED CT_SOM5 CT_SOM7 CT_SOMX
""")
"""Single words of PS3.3 C.8.2.1.1.1 and C.8.16.1, and of what scanners add to them."""

AGENTS = _words("""
    accupaque bracco cysto gastrografin imagopaque imeron iobitridol iodine iodixanol
    iodinated iohexol iomeprol iomeron iopamidol iopamiro iopamiron iopentol iopromide
    iothalamate ioversol ioxaglate ioxaglic ioxilan ioxitalamate isovue jod jodhaltig joversol
    omnipaque optiray oxilan oxitalamic peritrast scanlux simulated solutrast telebrix
    ultravist unipaque urografin visipaque xenetix
""")
"""Iodinated contrast agents, by generic and trade name."""

CONTRAST = _words("""
    agent arm bolus contrast iv i.v. im intravenous intravenously kontrast km mit ohne oral
    portal venous arterial recorded non no none with without c+ c- ce +c -c kv ml cc mg mm s
    sec ml/s
""")
"""Words about contrast: how it was given, and units."""

PROTOCOL = _words("""
    abd abdo abdomen abdominal abdomens abdopelvis adrenal adrenals angio angiography aorta
    aortic art arterial arteriell art. arteriel arteriosa ascending axial ax axials base bauch
    becken becken+bauch biphasic body bone bones bowel breath chest ce cecct cor coronal
    cortico corticomedullary cta ct cut cuts delay delayed digital early excretory exhale
    expiration equilibrium fase fbp fine first full ge helical hepatic high hrct inspiration
    iterative ivu kidney kidneys late leber legs liver lossless low lung lungs mediastinum
    medium mono mpr multi multiphase multiphasic nativ native natif neck nephro nephrogenic
    nephrographic niere nieren of pancreas parenchymal pelvis phantom phase plain portal
    portal-venous portalvenous portovenous post pre protocol pv pvp raw recon reconstruction
    ref reformat renal routine rec sag sagittal scan scout second series sft sharp single
    slice slices smooth soft spaet spät spleen std split standard std. survey test thick
    thickness thin third thins thorax tissue topogram tra trans transverse triphasic trunk
    upper lower unenhanced uro urogram urography urinary uteric vein veins ven venos venös
    venose veneux venous view volume vol w wo wide window without with weichteil weichteile x
    and to the und for in mm cm kv kvp kev sec min
""")
"""Words of descriptions of CT series, in the languages that were met so far."""

KERNELS = _words("""
    standard std soft soft+ softtissue detail lung lung2 chest chst bone bone+ boneplus edge
    ultra sharp smooth body brain head simulated a b c d e f ub uc l la lb ya yb yc yd ye i s
    h hr sa asir asir-v ss40 ss50 imr idose
""")
"""Convolution kernels that are words; others are recognised by `_KERNEL`."""

UNSHOWN = "?"
"""In place of a word, or several in a row, that may be anything."""
RECORDED = "recorded"
"""In place of a contrast agent that is not known by name."""
_UID = re.compile(r"[0-9.]{1,64}")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,12}")
_KERNEL = re.compile(r"[BDEHIJQSTU][a-z]?[0-9]{2}[a-z]?|FC[0-9]{2}(-?H)?")
"""Such as B30f, Br40d, FC08-H: too narrow for the number of a patient."""
_AMOUNT = re.compile(
    r"[0-9]|[0-9]\.[0-9]{1,3}|[0-9]{1,3}([.,][0-9]{1,3})?(mm|kv|kvp|kev|ml|s|sec|%)"
)
"""Numbers that cannot be part of a date: of one digit before the point, or with their unit."""
_BETWEEN = re.compile(r"[\s_,;:()\[\]{}<>\"\\^=]+")
"""Not hyphens, slashes and points: a date must stay one word, which is not a known one."""
_QUOTED = re.compile(r"""(['"]).*?(\1|$)""")
_MESSAGE_LENGTH = 200


def uid(value: str) -> str:
    """Return the UID; "" for letters, or more characters than a UID has (PS3.5 section 9.1)."""
    return value if _UID.fullmatch(value) else ""


def whole_number(value: str) -> str:
    """Return the number of an integer string (PS3.5 section 6.2); "" for another text."""
    return value if _WHOLE_NUMBER.fullmatch(value) else ""


def term(value: str, known: Collection[str]) -> str:
    """Return a code string, if it is one of DICOM's defined terms for it; "" stays ""."""
    return value if value in known or not value else UNSHOWN


def terms(values: Sequence[str], known: Collection[str]) -> str:
    """Return values of a code string with their backslashes, each word of which must be known."""
    return "\\".join(" ".join(term(word, known) for word in value.split(" ")) for value in values)


def protocol_words(text: str) -> str:
    """Return the known words of a description; "" without any."""
    return _known(text, PROTOCOL | AGENTS | CONTRAST | KERNELS)


def kernel_words(text: str) -> str:
    """Return the kernel, where it looks like one."""
    values = (_known(value, KERNELS) for value in text.split("\\"))
    return "\\".join(value for value in values if value)


def agent_words(text: str) -> str:
    """Return the contrast agent, where it is known by name; else that something was recorded."""
    if not text:
        return ""
    words = _known(text, AGENTS | CONTRAST)
    return words if any(word.lower() in AGENTS for word in words.split()) else RECORDED


def error_text(error: BaseException) -> str:
    """Return the first line of a library's message without quotes, which may be from the file.

    The error's type where there is no message.
    """
    line = next(iter(str(error).splitlines()), "")
    return _QUOTED.sub(UNSHOWN, line)[:_MESSAGE_LENGTH] or type(error).__name__


def _known(text: str, words: Collection[str]) -> str:
    """Return the text with every run of unknown words as one mark; "" if none is known."""
    shown = [word if _is_known(word, words) else UNSHOWN for word in _BETWEEN.split(text) if word]
    if all(word == UNSHOWN for word in shown):
        return ""
    runs = ([key] if key == UNSHOWN else run for key, run in groupby(shown))
    return " ".join(word for run in runs for word in run)


def _is_known(word: str, words: Collection[str]) -> bool:
    lower = word.lower()
    return bool(
        lower in words
        or _AMOUNT.fullmatch(lower)
        or _KERNEL.fullmatch(word)
        or all(part in words for part in re.split(r"[/+-]", lower) if part)
    )
