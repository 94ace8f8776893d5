"""Throws damaged files and folders at the intake: `python -m tests.fuzz_intake`.

Each case is a small study, of one of several encodings and layouts, with mutations drawn from a
seed: bytes flipped, files cut short, tags removed, swapped or made huge, archives damaged or
nested. A case passes if the study is read to its network volume, or is refused with a code.
Anything else (another exception, a case that takes longer than its limit, a dead process, more
memory than the limit) is a failure, printed with its seed; `--start SEED --count 1` repeats it.
"""

import argparse
import gc
import json
import logging
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from rcc_onnx.dicom import find_studies, read_study, series_table
from rcc_onnx.errors import RccOnnxError
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile
from tests.support.dicom_factory import Storage, body_volume, ct_series, enhanced_ct

CASE_SECONDS = 20
"""A case takes some hundredths of a second; more than this is a hang."""
MAX_MEMORY_MB = 1000
CHUNK = 1000
"""Cases a process runs: what kills one costs no more than these."""
SLICES = 4
HUGE = [0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]
KEYWORDS = [
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "Modality",
    "SOPClassUID",
    "SeriesInstanceUID",
    "NumberOfFrames",
    "ImageType",
    "SliceThickness",
    "PixelData",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence",
]
NUMBERS = ["0", "-1", "1e308", "nan", "inf", "99999999", "x", "", "1e-300", "0.5"]


def base_files(rng: random.Random) -> dict[str, bytes]:
    """A sound study, as bytes by name."""
    hu = body_volume((SLICES, 40, 44), rng.randrange(4))
    storage = rng.choice([Storage(), Storage(signed=False, intercept=-1024.0)])
    series = ct_series(hu, (5.0, 4.0, 4.0), storage=storage)
    kind = rng.choice(["plain", "plain", "implicit", "deflated", "rle", "jpeg-ls", "enhanced"])
    if kind == "enhanced":
        series = [enhanced_ct(series)]
    for dataset in series:
        if kind == "implicit":
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        elif kind == "deflated":
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        elif kind == "rle":
            dataset.compress(RLELossless, generate_instance_uid=False)
        elif kind == "jpeg-ls":
            dataset.compress(JPEGLSLossless, generate_instance_uid=False)
        if kind not in ("rle", "jpeg-ls"):
            # Else it is settled by attributes that may be gone when the file is written.
            dataset["PixelData"].VR = "OW"
        if rng.random() < 0.3:
            change_tag(rng, dataset)
    return {f"{index}.dcm": as_bytes(dataset) for index, dataset in enumerate(series)}


def as_bytes(dataset) -> bytes:
    file = DicomBytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def change_tag(rng: random.Random, dataset) -> None:
    """Remove an attribute, or give it a value that it should not have."""
    keyword = rng.choice(KEYWORDS)
    if keyword not in dataset:
        return
    element = dataset[keyword]
    if rng.random() < 0.4 or element.VR in ("SQ", "OW", "OB"):
        del dataset[keyword]
    elif element.VR in ("US", "SS"):
        dataset[keyword].value = rng.choice(HUGE[:5])
    else:
        count = rng.choice([element.VM, 1, 2, 20])
        # As a text, which may hold anything.
        raw = "\\".join(rng.choice(NUMBERS) for _ in range(count))
        dataset[keyword] = DataElement(tag_for_keyword(keyword), "LO", raw)


def damage(rng: random.Random, data: bytes) -> bytes:
    """Bytes with one thing wrong."""
    if not data:
        return data
    way = rng.randrange(7)
    whole = bytearray(data)
    at = rng.randrange(len(whole))
    # Half of all damage goes into the header, where it does most.
    if rng.random() < 0.5:
        at = rng.randrange(min(len(whole), 1500))
    if way == 0:
        return data[:at]
    if way == 1:
        for _ in range(rng.choice([1, 2, 8, 64])):
            whole[min(at + rng.randrange(50), len(whole) - 1)] ^= 1 << rng.randrange(8)
    elif way == 2:
        whole[at : at + 4] = rng.choice(HUGE).to_bytes(4, "little")
    elif way == 3:
        length = rng.randrange(1, 200)
        other = rng.randrange(len(whole))
        whole[at : at + length] = whole[other : other + length]
    elif way == 4:
        del whole[at : at + rng.randrange(1, 40)]
    elif way == 5:
        whole[at:at] = rng.randbytes(rng.randrange(1, 40))
    else:
        whole[at : at + 2] = rng.choice([b"SQ", b"UN", b"OB", b"DS", b"\xff\xff", b"\xfe\xff"])
    return bytes(whole)


def write_case(rng: random.Random, root: Path) -> Path:
    """A damaged study on disk; its folder or archive."""
    files = base_files(rng)
    for _ in range(rng.randrange(0, 3)):
        name = rng.choice(list(files))
        files[name] = damage(rng, files[name])
    if rng.random() < 0.2:
        names = list(files)
        rng.shuffle(names)
        files = dict(zip(names, files.values(), strict=True))
    if rng.random() < 0.2:
        files[rng.choice(["DICOMDIR", "notes.txt", "x/deep/IM", "9.dcm"])] = rng.randbytes(400)
    if rng.random() < 0.2:
        files["copy/" + rng.choice(list(files)).replace("/", "_")] = rng.choice(
            list(files.values())
        )
    if rng.random() < 0.25:
        return write_archive(rng, files, root / "study.zip")
    for name, data in files.items():
        path = root / "study" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if rng.random() < 0.1:
        write_archive(rng, files, root / "study" / "more.zip")
    return root / "study"


def write_archive(rng: random.Random, files: dict[str, bytes], path: Path) -> Path:
    packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(rng.choice(["", "", "", "a/b/", "../"]) + name, data)
        if rng.random() < 0.03:
            archive.writestr("zeros", bytes(70 * 1024**2))
    for _ in range(rng.randrange(3)):
        inside = path.read_bytes()
        if rng.random() < 0.5:
            path.write_bytes(damage(rng, inside))
        else:
            with zipfile.ZipFile(path, "w", packing) as archive:
                archive.writestr("inner.zip", inside)
    return path


def run_case(seed: int, root: Path) -> str:
    """How the case ended: `analysed`, or a code. Anything else is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says what is wrong with what is written
        study = write_case(random.Random(seed), root)
    try:
        find_studies(root if study.is_dir() else study)
        if seed % 10 == 0:
            series_table(study)
        profile = Profile.NOTEBOOK if seed % 20 == 7 else Profile.STANDARD
        volume = network_volume(read_study(study, profile))
    except RccOnnxError as error:
        if not (error.code and str(error)):
            raise AssertionError("a refusal without code or words") from error
        return error.code
    assert volume.values.dtype == np.uint8
    return "analysed"


def run_cases(start: int, count: int) -> dict[str, object]:
    """Run cases in this process; failures by seed."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    ends: Counter[str] = Counter()
    failures: dict[int, str] = {}
    signal.signal(signal.SIGALRM, _too_slow)
    for seed in range(start, start + count):
        root = Path(tempfile.mkdtemp(prefix="fuzz"))
        signal.alarm(CASE_SECONDS)
        try:
            ends[run_case(seed, root)] += 1
        except BaseException:
            failures[seed] = traceback.format_exc()
        finally:
            signal.alarm(0)
            gc.collect(0)
            shutil.rmtree(root, ignore_errors=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"ends": dict(ends), "failures": failures, "memory_mb": memory}


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"a case took more than {CASE_SECONDS} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--start", type=int, default=0, help="first seed")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(run_cases(options.start, options.count)))
        return 0
    ends: Counter[str] = Counter()
    bad = 0
    memory = 0.0
    for start in range(options.start, options.start + options.count, CHUNK):
        count = min(CHUNK, options.start + options.count - start)
        command = [sys.executable, "-m", "tests.fuzz_intake", "--worker"]
        command += ["--start", str(start), "--count", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            bad += 1
            print(f"DIED ({done.returncode}): {' '.join(command)}\n{done.stderr[-2000:]}")
            continue
        said = json.loads(done.stdout.splitlines()[-1])
        ends.update(said["ends"])
        memory = max(memory, said["memory_mb"])
        for seed, trace in said["failures"].items():
            bad += 1
            print(f"FAILED seed {seed}:\n{trace}")
        print(f"{start + count}: {sum(ends.values())} ended well, {memory:.0f} MB", flush=True)
    for end, times in ends.most_common():
        print(f"{times:6d} {end}")
    print(f"{bad} failures, largest process {memory:.0f} MB")
    return 1 if bad or memory > MAX_MEMORY_MB else 0


if __name__ == "__main__":
    sys.exit(main())
