"""What DICOM files say about each image, without pixels: the values that all later steps use."""

from dataclasses import dataclass, field
from typing import NamedTuple

from rcc_onnx.errors import InvalidAttributeError, MissingAttributeError
from rcc_onnx.intake.sources import Source

Vector = tuple[float, ...]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
LEGACY_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.2"
CT_CLASSES = (CT_IMAGE, ENHANCED_CT, LEGACY_ENHANCED_CT)
"""SOP classes whose images are CT, whatever Modality says or does not say."""


@dataclass(frozen=True)
class Bits:
    """How stored values lie in their words (PS3.5 section 8.1). 0: the file does not say."""

    allocated: int = 0
    stored: int = 0
    high: int = 0
    signed: bool = False


@dataclass(frozen=True)
class SliceHeader:
    """What one image of one file says. None: it does not say it, or says nonsense.

    Attributes:
        frame: index of the image in a multi-frame file; None in a single-frame file.
        position: ImagePositionPatient in mm.
        orientation: ImageOrientationPatient, six cosines.
        pixel_spacing: PixelSpacing in mm: between rows, then between columns.
        pixels_at: where in the file the element after the header starts, as a rule the pixels; None
            where they are packed, or the file does not say all that it must about them.
        padding: stored values that are padding, lowest and highest, ends included.
        patient: a hash of PatientID, to tell patients apart without keeping it; "" if none.
        contrast: ContrastBolusAgent, or another sign of contrast; "" if none is recorded.
        lossy: whether the file says, or its transfer syntax shows, lossy compression.
        modality_lut: whether a Modality LUT takes the place of slope and intercept.
        marks: what may tell apart several stacks under one SeriesInstanceUID, by name.
        unusable: keywords of attributes that are there, but hold no number that can be meant.
    """

    source: Source
    frame: int | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    patient: str = ""
    series_number: str = ""
    series_description: str = ""
    frame_of_reference_uid: str = ""
    transfer_syntax_uid: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    photometric_interpretation: str = ""
    samples_per_pixel: int = 1
    frames: int = 1
    rows: int = 0
    columns: int = 0
    bits: Bits = field(default_factory=Bits)
    pixels_at: int | None = None
    position: Vector | None = None
    orientation: Vector | None = None
    pixel_spacing: Vector | None = None
    slice_thickness: Vector | None = None
    rescale_slope: Vector | None = None
    rescale_intercept: Vector | None = None
    rescale_type: str = ""
    modality_lut: bool = False
    padding: tuple[int, int] | None = None
    lossy: bool = False
    contrast: str = ""
    kernel: str = ""
    patient_position: str = ""
    manufacturer: str = ""
    quality_control_subject: str = ""
    marks: tuple[tuple[str, str], ...] = ()
    unusable: frozenset[str] = frozenset()

    @property
    def file_name(self) -> str:
        """What messages show: the path below the study's folder, and the frame if there are any."""
        return self.source.name if self.frame is None else f"{self.source.name}[{self.frame}]"

    def required(self, keyword: str) -> Vector:
        """The numbers of an attribute that the analysis cannot do without.

        Raises:
            MissingAttributeError, InvalidAttributeError: naming the file and the attribute.
        """
        value: Vector | None = getattr(self, NUMBERS[keyword].field)
        if value is not None:
            return value
        if keyword in self.unusable:
            raise InvalidAttributeError(
                f"{self.file_name}: {keyword} holds no usable number; "
                "export the series again from its source"
            )
        raise MissingAttributeError(
            f"{self.file_name}: {keyword} is missing and cannot be guessed; "
            "use a series that has it, or export this one again with it"
        )


class Numbers(NamedTuple):
    """The field of `SliceHeader` that holds an attribute of numbers, and how many there are."""

    field: str
    length: int


NUMBERS = {
    "ImagePositionPatient": Numbers("position", 3),
    "ImageOrientationPatient": Numbers("orientation", 6),
    "PixelSpacing": Numbers("pixel_spacing", 2),
    "SliceThickness": Numbers("slice_thickness", 1),
    "RescaleSlope": Numbers("rescale_slope", 1),
    "RescaleIntercept": Numbers("rescale_intercept", 1),
}
