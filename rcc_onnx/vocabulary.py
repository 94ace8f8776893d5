"""Words that header texts may be shown with: what a scanner or a protocol writes, never a name.

Texts of a DICOM header are typed by people, and a patient's name can stand in any of them. A word
that is listed here is shown, any other is not (`header_text`).
"""


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
"""Of contrast: how it was given, and units."""

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
"""Of descriptions of CT series, in the languages that were met so far."""

KERNELS = _words("""
    standard std soft soft+ softtissue detail lung lung2 chest chst bone bone+ boneplus edge
    ultra sharp smooth body brain head simulated a b c d e f ub uc l la lb ya yb yc yd ye i s
    h hr sa asir asir-v ss40 ss50 imr idose
""")
"""Convolution kernels that are words; those of letters and numbers are told by their shape."""
