"""Whether the decoders that are installed here decode: each is given a small image to try."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian

from rcc_onnx.header_text import without_quotes
from rcc_onnx.intake.encoded import SAMPLES, SIZE, Sample, ramp


@dataclass(frozen=True)
class Decoding:
    """What became of one transfer syntax.

    Attributes:
        name: of the encoding.
        uid: of the transfer syntax.
        problem: why images in it cannot be decoded here; "" if they can.
    """

    name: str
    uid: str
    problem: str


def try_decoders() -> tuple[Decoding, ...]:
    """Decode one small image in every transfer syntax that the intake reads."""
    return tuple(_all())


def _all() -> Iterator[Decoding]:
    plain = Sample("uncompressed", str(ExplicitVRLittleEndian), 16, 0, "")
    for sample in (plain, *SAMPLES):
        try:
            problem = _problem(sample)
        except (KeyboardInterrupt, SystemExit):
            raise
        # Decoders are many, and so are their exceptions, some of which are no Exception.
        except BaseException as error:
            problem = without_quotes(str(error)) or type(error).__name__
        yield Decoding(sample.name, sample.uid, problem)


def _problem(sample: Sample) -> str:
    decoder = get_decoder(UID(sample.uid))
    if not decoder.is_available:
        return f"missing: {'; '.join(decoder.missing_dependencies)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = pixel_array(_dataset(sample))
    if given.shape != (SIZE, SIZE):
        return f"decoded to the shape {given.shape}"
    off = int(np.abs(given.astype(np.int64) - sample.image).max())
    return f"decoded values are wrong by up to {off}" if off > sample.off_by else ""


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
    if sample.text:
        dataset.PixelData = encapsulate([sample.codestream])
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.PixelData = ramp().astype("<u2").tobytes()
    dataset["PixelData"].VR = "OB" if sample.text else "OW"
    return dataset
