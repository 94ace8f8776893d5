"""Programs that tests are compared with, where they are installed."""

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

CENTRE = 0.02
"""Distance from a voxel's centre, in voxels, that a peer's answer may be: NIfTI holds float32."""
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def missing(name):
    """Skip and say so; with TEST_PEERS=required, as in .ci/run, fail."""
    text = f"NOT TESTED HERE: {name} is not available"
    if os.environ.get("TEST_PEERS") == "required":
        pytest.fail(text)
    pytest.skip(text)


def run_peer(*command: str | Path) -> str:
    """What a program prints, on both streams. It must end well."""
    name = str(command[0])
    if shutil.which(name) is None:
        missing(name)
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Peer(NamedTuple):
    """A peer's volume of a series: its array, indexed x, y, z, and its affine to the patient."""

    values: np.ndarray
    xyz_to_lps: np.ndarray


def by_dcm2niix(folder: Path, out: Path) -> Peer:
    out.mkdir()
    run_peer("dcm2niix", "-z", "n", "-b", "n", "-f", "found", "-o", out, folder)
    (path,) = out.glob("*.nii")
    data = path.read_bytes()
    shape = struct.unpack_from("<3h", data, 42)
    datatype, start = struct.unpack_from("<h", data, 70)[0], struct.unpack_from("<f", data, 108)[0]
    slope, intercept = struct.unpack_from("<2f", data, 112)
    kind = {4: "<i2", 8: "<i4", 16: "<f4", 512: "<u2"}[datatype]
    stored = np.frombuffer(data, kind, offset=int(start), count=int(np.prod(shape)))
    affine = np.eye(4)
    affine[:3] = np.array(struct.unpack_from("<12f", data, 280)).reshape(3, 4)
    hu = stored.reshape(shape, order="F") * (slope or 1.0) + intercept
    return Peer(hu, LPS_TO_RAS @ affine)
