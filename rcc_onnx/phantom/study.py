"""A phantom as a real DICOM series, with the truth beside it in memory.

Every header marks its file as a digital phantom (Manufacturer, QualityControlSubject,
ImageComments, names), and nothing in it is random beyond the seed: the same seed gives the same
bytes. CT Image Storage, PS3.3 A.3.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from rcc_onnx.errors import OutputError
from rcc_onnx.phantom.anatomy import Anatomy, Prevalence, draw_anatomy
from rcc_onnx.phantom.scan import Scan, Storage, add_table, draw_scan, noise, quick_scan, render
from rcc_onnx.phantom.shapes import Floats
from rcc_onnx.types import PHANTOM_MANUFACTURER, SIDES

IMPLEMENTATION_UID = UID("2.25.201934077142918246116339116702541820316")
PADDING_STORED = -2000
"""Written outside the circular field of view, as scanners do."""


@dataclass(frozen=True)
class PhantomStudy:
    """A written study and its ground truth.

    Attributes:
        labels: uint8 (slices, rows, columns), `Label`, in the order and orientation of the files
            sorted by name: head first, rows to the back, columns to the patient's left.
    """

    folder: Path
    anatomy: Anatomy
    scan: Scan
    labels: NDArray[np.uint8]


def make_study(
    seed: int, folder: Path, *, prevalence: Prevalence | None = None, quick: bool = False
) -> PhantomStudy:
    """Draw, scan and write the phantom of a seed into `folder` (made if missing).

    `quick` halves the matrix (256 instead of 512): for tests.
    """
    anatomy = draw_anatomy(seed, prevalence)
    scan = draw_scan(seed, anatomy.body)
    return write_study(anatomy, quick_scan(scan) if quick else scan, folder)


def make_phantom_folder(seed: int, out: Path) -> PhantomStudy:
    """Write the phantom of a seed to `out/phantom-<seed>`.

    Raises:
        OutputError: it cannot be written, or the folder is not empty.
    """
    folder = out / f"phantom-{seed:04d}"
    try:
        return make_study(seed, folder)
    except FileExistsError as error:
        raise OutputError(f"{folder} exists and is not empty; choose another folder") from error
    except OSError as error:
        raise OutputError(
            f"cannot write the phantom to {folder}: {error.strerror or error}; choose another "
            "folder"
        ) from error


def truth_line(anatomy: Anatomy) -> str:
    """Return the ground truth in words, to compare with the findings."""
    sides = []
    for side in SIDES:
        kidney = anatomy.kidney(side)
        if kidney is None:
            sides.append(f"{side} kidney absent")
            continue
        growths = [f"a {growth.kind} of {growth.diameter_mm:.0f} mm" for growth in kidney.growths]
        sides.append(f"{side} kidney with {' and '.join(growths) or 'nothing'}")
    return f"Ground truth of phantom {anatomy.seed}: {'; '.join(sides)}."


def write_study(anatomy: Anatomy, scan: Scan, folder: Path) -> PhantomStudy:
    """Scan a patient and write `001.dcm`, `002.dcm`, … head first.

    The same phantom may be written over itself; anything else in the folder is left alone.

    Raises:
        FileExistsError: the folder holds other files; two studies must not mix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = scan.grid()
    names = {_file_name(index) for index in range(grid.z_mm.size)}
    if any(path.name not in names or not _is_phantom(path) for path in folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: a phantom study needs a folder of its own")
    hu, labels = render(anatomy, grid)
    add_table(anatomy.body, grid, hu)
    hu += noise(np.random.default_rng((anatomy.seed, 0x0153)), hu.shape, scan.noise_hu)
    for index in range(len(hu)):
        header = _header(anatomy, scan, index, float(grid.z_mm[index]))
        _store(header, hu[index], scan)
        header.save_as(folder / _file_name(index), enforce_file_format=True)
    return PhantomStudy(folder, anatomy, scan, labels)


def _file_name(index: int) -> str:
    return f"{index + 1:03d}.dcm"


def _is_phantom(path: Path) -> bool:
    with path.open("rb") as file:
        return PHANTOM_MANUFACTURER.encode() in file.read(2048)


def uid(*parts: object) -> UID:
    """Return a DICOM UID that depends on `parts` only (PS3.5 B.2: 2.25 and 128 bits)."""
    digest = hashlib.sha256("/".join(map(str, ("rcc-onnx phantom", *parts))).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def _identify(scan: Scan) -> str:
    """Return the text that UIDs are hashed from: two scans of one patient are two studies."""
    return (
        f"Scan(matrix={scan.matrix}, pixel_mm={scan.pixel_mm}, thickness_mm={scan.thickness_mm}, "
        f"spacing_mm={scan.spacing_mm}, top_mm={scan.top_mm}, bottom_mm={scan.bottom_mm}, "
        f"offset_xy_mm={scan.offset_xy_mm}, noise_hu={scan.noise_hu}, "
        f"storage=<Storage.{scan.storage.name}: '{scan.storage.value}'>)"
    )


def _header(anatomy: Anatomy, scan: Scan, index: int, z_mm: float) -> FileDataset:
    seed = anatomy.seed
    study = uid("study", seed, _identify(scan))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = uid(study, "instance", index)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20000101"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.AccessionNumber, ds.ReferringPhysicianName = "", ""
    ds.Modality, ds.Manufacturer = "CT", PHANTOM_MANUFACTURER
    ds.StudyDescription = "Digital phantom, not a patient"
    ds.SeriesDescription = "Digital phantom, abdomen, contrast"
    ds.PatientName, ds.PatientID = f"Phantom^Digital {seed}", f"PHANTOM-{seed}"
    ds.PatientBirthDate, ds.PatientSex = "", "O"
    ds.QualityControlSubject = "YES"
    ds.PatientPosition = "HFS"
    ds.ContrastBolusAgent = "simulated"
    ds.BodyPartExamined = "ABDOMEN"
    ds.KVP = "120"
    ds.SliceThickness = f"{scan.thickness_mm:g}"
    ds.SpacingBetweenSlices = f"{scan.spacing_mm:g}"
    ds.ConvolutionKernel = "SIMULATED"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, uid(study, "series")
    ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber = "1", "1", "1"
    ds.InstanceNumber = str(index + 1)
    first = -(scan.matrix - 1) / 2 * scan.pixel_mm
    x, y = (first + offset for offset in scan.offset_xy_mm)
    ds.ImagePositionPatient = [f"{x:.4f}", f"{y:.4f}", f"{z_mm:.4f}"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid(study, "frame"), ""
    ds.SliceLocation = f"{z_mm:.4f}"
    ds.ImageComments = "Digital phantom made by rcc-onnx. Not a patient."
    ds.PixelSpacing = [f"{scan.pixel_mm:.4f}"] * 2
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    return ds


def _store(ds: FileDataset, hu: Floats, scan: Scan) -> None:
    """Put one slice of HU into the header as stored values, with its rescale."""
    unsigned = scan.storage is Storage.UNSIGNED_1024
    intercept = -1024 if unsigned else 0
    stored = np.clip(np.rint(hu), -1024, 3071) - intercept
    if scan.storage is Storage.SIGNED_PADDED:
        steps = np.arange(scan.matrix) - (scan.matrix - 1) / 2
        stored[np.hypot(steps[:, None], steps[None, :]) > scan.matrix / 2] = PADDING_STORED
        ds.add_new("PixelPaddingValue", "SS", PADDING_STORED)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = scan.matrix
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelRepresentation = 0 if unsigned else 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = str(intercept), "1", "HU"
    ds.PixelData = stored.astype("<u2" if unsigned else "<i2").tobytes()
