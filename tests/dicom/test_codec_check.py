"""The images that show which transfer syntaxes can be decoded on a machine."""

import subprocess
import sys

from pydicom.pixels.decoders.base import _PIXEL_DATA_DECODERS
from pydicom.uid import UID

from rcc_onnx.dicom.codec_check import SAMPLES, SIZE, ramp, try_decoders

SAME_AS_TRIED = {
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.202",
}
"""Uncompressed in other ways, and HTJ2K in another order."""
NOT_DECODED = {"1.2.840.10008.1.2.4.51"}
"""JPEG with 12 bits, which no package decodes."""

HIDE = """
import importlib.metadata as metadata, sys
sys.modules["jpeg_ls"] = sys.modules["rle"] = None
real = metadata.entry_points
metadata.entry_points = lambda **of: [point for point in real(**of) if "rle" not in point.value]
from rcc_onnx.dicom.codec_check import try_decoders
from pydicom.pixels.decoders.base import get_decoder
for uid, expected in (("1.2.840.10008.1.2.5", "pydicom"), ("1.2.840.10008.1.2.4.80", "gdcm")):
    assert get_decoder(uid).available_plugins == (expected,), get_decoder(uid).available_plugins
print([decoding for decoding in try_decoders() if decoding.problem])
"""


def test_the_samples_are_as_documented():
    assert ramp().shape == (SIZE, SIZE)
    assert (int(ramp()[0, 0]), int(ramp()[-1, -1])) == (500, 2515)


def test_every_transfer_syntax_that_pydicom_decodes_is_tried():
    tried = [UID(decoding.uid) for decoding in try_decoders()]
    assert set(_PIXEL_DATA_DECODERS) - SAME_AS_TRIED - NOT_DECODED == set(tried)
    assert len(tried) == len(set(tried)) == len(SAMPLES)


def test_jpeg_ls_and_rle_need_no_package_of_their_own():
    """pydicom decodes RLE, and gdcm JPEG-LS, where pylibjpeg-rle and pyjpegls are not installed."""
    done = subprocess.run([sys.executable, "-c", HIDE], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
