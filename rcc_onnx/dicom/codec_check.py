"""Decode one small image in every transfer syntax that the intake reads, to see what works here.

The images in `codestreams/` were encoded once, with encoders that rcc-onnx does not need:
pylibjpeg-openjpeg, pyjpegls, pydicom, GDCM, Pillow and OpenJPH.
"""

import warnings
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

from rcc_onnx.dicom.header_privacy import error_text

SIZE = 32
"""Rows and columns of every sample."""


class Sample(NamedTuple):
    """An encoded image.

    Attributes:
        name, uid: of the encoding and of its transfer syntax.
        file: of the codestream; "" for uncompressed pixels.
        bits: 16, or 8: then it is the image divided by 16.
        tolerance: how far a decoded value may be from the image's; 0 for lossless encodings.
    """

    name: str
    uid: str
    file: str
    bits: int = 16
    tolerance: int = 0

    @property
    def codestream(self) -> bytes:
        return (files("rcc_onnx.dicom") / "codestreams" / self.file).read_bytes()

    @property
    def image(self) -> NDArray[np.uint16]:
        """The decoded image, uint16 (32, 32)."""
        return ramp() if self.bits == 16 else ramp() // np.uint16(16)


SAMPLES = (
    Sample("uncompressed", str(ExplicitVRLittleEndian), ""),
    Sample("RLE", "1.2.840.10008.1.2.5", "rle.bin"),
    Sample("JPEG, 8 bits", "1.2.840.10008.1.2.4.50", "jpeg-8-bits.jpg", bits=8, tolerance=3),
    Sample("JPEG lossless (.57)", "1.2.840.10008.1.2.4.57", "jpeg-lossless.jpg"),
    Sample("JPEG lossless (.70)", "1.2.840.10008.1.2.4.70", "jpeg-lossless.jpg"),
    Sample("JPEG-LS", "1.2.840.10008.1.2.4.80", "jpeg-ls.jls"),
    Sample("JPEG-LS, lossy", "1.2.840.10008.1.2.4.81", "jpeg-ls-lossy.jls", tolerance=2),
    Sample("JPEG 2000", "1.2.840.10008.1.2.4.90", "jpeg-2000.j2k"),
    Sample("JPEG 2000, lossy", "1.2.840.10008.1.2.4.91", "jpeg-2000-lossy.j2k", tolerance=40),
    Sample("HTJ2K", "1.2.840.10008.1.2.4.201", "htj2k.j2c"),
    Sample("HTJ2K, lossy", "1.2.840.10008.1.2.4.203", "htj2k-lossy.j2c", tolerance=4),
)


class Decoding(NamedTuple):
    """The result for an encoding; `problem`: why it cannot be decoded here, "" if it can."""

    name: str
    uid: str
    problem: str


def ramp() -> NDArray[np.uint16]:
    """Return a slope from corner to corner, uint16 (32, 32), 500 to 2515."""
    steps = np.arange(SIZE, dtype=np.uint16)
    slope: NDArray[np.uint16] = steps[:, np.newaxis] * np.uint16(40) + steps * np.uint16(25)
    return slope + np.uint16(500)


def try_decoders() -> tuple[Decoding, ...]:
    """Decode every sample with the packages that are installed."""
    return tuple(Decoding(sample.name, sample.uid, _problem(sample)) for sample in SAMPLES)


def _problem(sample: Sample) -> str:
    decoder = get_decoder(UID(sample.uid))
    if not decoder.is_available:
        return f"missing: {'; '.join(decoder.missing_dependencies)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = pixel_array(_dataset(sample))
    except (KeyboardInterrupt, SystemExit):
        raise
    # There are many decoders, and some of their exceptions are not an Exception.
    except BaseException as error:
        return error_text(error)
    if decoded.shape != (SIZE, SIZE):
        return f"decoded to the shape {decoded.shape}"
    wrong_by = int(np.abs(decoded.astype(np.int64) - sample.image).max())
    return f"decoded values are wrong by up to {wrong_by}" if wrong_by > sample.tolerance else ""


def _dataset(sample: Sample) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(sample.uid)
    dataset.Rows = dataset.Columns = SIZE
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = sample.bits
    dataset.HighBit = sample.bits - 1
    dataset.PixelRepresentation = 0
    if sample.file:
        dataset.PixelData = encapsulate([sample.codestream])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"
    else:
        dataset.PixelData = ramp().astype("<u2").tobytes()
        dataset["PixelData"].VR = "OW"
    return dataset
