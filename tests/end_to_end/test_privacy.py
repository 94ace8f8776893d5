"""Nothing of the patient reaches a file, the terminal or the log, whatever becomes of a case."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, JPEG2000Lossless, JPEGExtended12Bit
from typer.testing import CliRunner

from rcc_onnx.cli.app import app
from tests.support.canaries import (
    CANARIES,
    WORD,
    anything_goes,
    canary_series,
    canary_texts,
    leaks,
    leaks_in,
    write_anything,
)
from tests.support.tiny_networks import write_bundle

Spoil = Callable[[list[Dataset]], object]
ON_EVERY_SIDE = ("--kidney-threshold", "0", "--lesion-threshold", "0")
"""So that the tiny networks find something, and pictures are written."""


def put(**values: object) -> Spoil:
    """Set attributes of every slice."""

    def spoil(slices: list[Dataset]) -> None:
        for dataset in slices:
            for keyword, value in values.items():
                setattr(dataset, keyword, value)

    return spoil


def put_in_one(**values: object) -> Spoil:
    return lambda slices: put(**values)(slices[2:3])


def text_for_numbers(slices: list[Dataset]) -> None:
    for dataset in slices:
        dataset.add_new("SeriesNumber", "LO", WORD)
        dataset.add_new("SliceThickness", "LO", WORD)


def in_syntax(syntax: UID) -> Spoil:
    """Compressed pixels, which no decoder takes."""

    def spoil(slices: list[Dataset]) -> None:
        for dataset in slices:
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData = encapsulate([WORD.encode() * 10])
            dataset["PixelData"].is_undefined_length = True

    return spoil


def lut(slices: list[Dataset]) -> None:
    """A Modality LUT that is none, with an explanation."""
    item = Dataset()
    item.LUTExplanation, item.ModalityLUTType = WORD, WORD
    put(ModalityLUTSequence=DicomSequence([item]))(slices)


def second_series(slices: list[Dataset], study: str = "1.2.3") -> None:
    slices += canary_series("2", study, all_tags=False)


def both_refused(slices: list[Dataset]) -> None:
    second_series(slices)
    put(RescaleSlope=0)(slices)


def twins(slices: list[Dataset]) -> None:
    slices.append(canary_series(all_tags=False)[2])
    slices[-1].PixelData = slices[0].PixelData


REFUSALS: dict[str, tuple[str, Spoil]] = {
    "several series": ("several-series", second_series),
    "several studies": ("several-series", lambda slices: second_series(slices, "1.2.9")),
    "no suitable series": ("no-suitable-series", both_refused),
    "a slice is missing": ("missing-slices", lambda slices: slices.pop(3)),
    "two at one place": ("duplicate-positions", twins),
    "two slices": ("too-few-slices", lambda slices: slices.__delitem__(slice(2, None))),
    "coronal": ("not-axial", put(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])),
    "tilted": ("gantry-tilt", put(ImageOrientationPatient=[1, 0, 0, 0, 0.9397, -0.342])),
    "uneven": ("uneven-spacing", put_in_one(ImagePositionPatient=[-100, -90, 42])),
    "shifted": ("sheared-series", put_in_one(ImagePositionPatient=[-100, -80, 40])),
    "no rescale": ("missing-attribute", lambda slices: slices[0].__delattr__("RescaleSlope")),
    "slope of 0": ("invalid-attribute", put(RescaleSlope=0)),
    "another matrix": ("mixed-matrix", put_in_one(Rows=89)),
    "another spacing": ("mixed-spacing", put_in_one(PixelSpacing=[3, 3])),
    "another orientation": (
        "mixed-orientation",
        put_in_one(ImageOrientationPatient=[0.9999, 0.0141, 0, -0.0141, 0.9999, 0]),
    ),
    "another patient": ("mixed-series", put_in_one(PatientID=f"{WORD}2")),
    "large pixels": ("spacing-out-of-range", put(PixelSpacing=[9, 9])),
    "short pixels": ("pixels-undecodable", put(PixelData=b"\0\0")),
    "broken JPEG 2000": (
        "pixels-undecodable",
        in_syntax(JPEG2000Lossless),
    ),
    "JPEG with 12 bits": (
        "transfer-syntax",
        in_syntax(JPEGExtended12Bit),
    ),
    "bits": ("stored-bits", put(BitsStored=4, HighBit=3)),
    "a Modality LUT": ("pixels-undecodable", lut),
    "another unit": ("values-not-hu", put(RescaleType="MGML")),
    "no HU": ("values-not-hu", put(RescaleIntercept=5000)),
    "no CT": ("no-ct", put(Modality=CANARIES["CS"])),
    "no grey": ("no-ct", put(PhotometricInterpretation=CANARIES["CS"])),
    "no pixels": (
        "pixels-undecodable",
        lambda slices: [one.__delattr__("PixelData") for one in slices],
    ),
}
ANALYSED: dict[str, Spoil] = {
    "plain": lambda slices: None,
    "text for UIDs": put(
        StudyInstanceUID=WORD, SeriesInstanceUID=WORD, FrameOfReferenceUID=WORD, SOPInstanceUID=WORD
    ),
    "text for numbers": text_for_numbers,
    "unknown characters": put(SpecificCharacterSet=CANARIES["CS"]),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundles") / "tiny", use_on=["patient"])


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies: each that is refused, and each that is analysed all the same."""
    folder = tmp_path_factory.mktemp("studies")
    spoils = ANALYSED | {name: spoil for name, (_, spoil) in REFUSALS.items()}
    for name, spoil in spoils.items():
        slices = canary_series(all_tags=name == "plain")
        with anything_goes():
            spoil(slices)
        write_anything(folder / name, slices)
    (folder / "no DICOM").mkdir()
    (folder / "no DICOM" / "letter.txt").write_text(f"Dear {WORD}")
    with zipfile.ZipFile(folder / "bad archive.zip", "w") as archive:
        archive.writestr("../x.txt", WORD)
    damaged = write_anything(folder / "damaged", canary_series(all_tags=False)) / "003.dcm"
    damaged.write_bytes(damaged.read_bytes()[:900])
    return folder


def log_of(out: Path) -> Path:
    return out.with_suffix(".jsonl")


def infer(studies: Path, out: Path, *options: object) -> subprocess.CompletedProcess[bytes]:
    """The command as a user runs it, with all that it logs."""
    command = ("infer", studies, "--out", out, "--provider", "cpu", "-vv", *options)
    command += ("--log-file", log_of(out))
    return subprocess.run(
        [sys.executable, "-m", "rcc_onnx", *map(str, command)],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


def outcomes(out: Path) -> dict[str, str]:
    """The error code of each case; "" where it was analysed."""
    run = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return {one["case"]: one["error_code"] or "" for one in run["cases"]}


def assert_silent(done: subprocess.CompletedProcess[bytes], out: Path) -> None:
    found = leaks("stdout", done.stdout) + leaks("stderr", done.stderr) + leaks_in(out)
    log = log_of(out).read_bytes()
    assert found + leaks("log", log) == []
    assert log.count(b"\n") > 50
    assert b'"event": "case-end"' in log
    assert b"DEBUG rcc_onnx" in done.stderr or b"INFO rcc_onnx" in done.stderr


def test_every_kind_of_text_is_set() -> None:
    found = {element.VR for element in canary_texts()}
    assert set(CANARIES) <= found
    assert len(canary_texts()) > 3000
    assert all(canary_texts()[keyword].value for keyword in ("PatientName", "StudyDate", "StudyID"))


def test_no_canary_reaches_anything(studies: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = infer(studies, out, "--models", bundle, *ON_EVERY_SIDE)
    assert done.returncode == 1
    expected = {name: code for name, (code, _) in REFUSALS.items()} | dict.fromkeys(ANALYSED, "")
    expected |= {"no DICOM": "no-dicom", "bad archive": "archive-unsafe-name"}
    assert outcomes(out) == expected | {"damaged": "missing-slices"}
    files = [one for one in out.rglob("*") if one.is_file()]
    assert {one.suffix for one in files} == {".json", ".csv", ".png", ".html", ""}
    assert_silent(done, out)


def test_nor_in_the_notebook_profile(studies: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = infer(studies, out, "--models", bundle, "--profile", "notebook", *ON_EVERY_SIDE)
    found = outcomes(out)
    assert found["plain"] == ""
    assert found["no grey"] == "pixels-undecodable"
    assert_silent(done, out)


def test_nor_through_the_table_of_series(
    studies: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for study in sorted(studies.iterdir()):
        for options in ((), ("--json",)):
            with caplog.at_level("DEBUG", logger="rcc_onnx"):
                result = CliRunner().invoke(app, ["series", str(study), "-vv", *options])
            assert result.exit_code in (0, 2)
            assert leaks(study.name, result.output.encode()) == []
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("rcc_onnx")]
    assert ours
    assert leaks("log", "\n".join(ours).encode()) == []
    assert leaks("descriptors", "".join(capfd.readouterr()).encode()) == []


def test_nor_what_pydicom_logs(studies: Path) -> None:
    command = [sys.executable, "-m", "rcc_onnx", "series", str(studies / "unknown characters")]
    done = subprocess.run([*command, "-vv"], capture_output=True, check=True)
    assert b"INFO rcc_onnx" in done.stderr
    assert leaks("stdout", done.stdout) + leaks("stderr", done.stderr) == []


def test_free_text_is_shown_where_it_is_asked_for(studies: Path) -> None:
    result = CliRunner().invoke(app, ["series", str(studies / "plain"), "--json", "--free-text"])
    (row,) = json.loads(result.output)
    assert row["description"] == row["contrast"] == row["kernel"] == WORD
    assert row["image_type"] == CANARIES["CS"]


def test_the_search_finds_what_leaked(tmp_path: Path) -> None:
    """A search that finds nothing proves nothing unless it can find."""
    from PIL import Image  # noqa: PLC0415
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    notes = PngInfo()
    notes.add_text("Comment", f"of {WORD}", zip=True)
    Image.new("L", (2, 2)).save(tmp_path / "a.png", pnginfo=notes)
    (tmp_path / "b.json").write_text('{"date": "1941-02-13"}')
    (tmp_path / f"{WORD}.csv").write_text("")
    assert sorted(leaks_in(tmp_path)) == [
        f"{WORD}.csv: canaryxyzzy",
        "a.png: canaryxyzzy",
        "b.json: 1941-02-13",
    ]


def test_a_defect_says_where_and_not_what(
    studies: Path,
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError(f"of {WORD}")

    monkeypatch.setattr("rcc_onnx.engine.analyse_study", defect)
    arguments = ["infer", str(studies / "plain"), "--out", str(tmp_path), "--models"]
    result = CliRunner().invoke(app, [*arguments, str(bundle)])
    assert "ZeroDivisionError" in result.output
    assert "in analyse" in caplog.text
    assert leaks("log", caplog.text.encode()) + leaks("output", result.output.encode()) == []
    assert leaks_in(tmp_path) == []
