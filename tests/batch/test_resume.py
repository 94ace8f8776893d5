"""Fingerprints of inputs and settings."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from rcc_onnx.batch.resume import inputs_sha256, settings_sha256
from rcc_onnx.options import InferenceOptions
from rcc_onnx.system.files import LOCK_NAME


def study(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_the_same_bytes_under_the_same_names_are_the_same(tmp_path: Path) -> None:
    one = study(tmp_path / "one", a=b"1", deep__b=b"2")
    other = study(tmp_path / "other", deep__b=b"2", a=b"1")
    os.utime(other / "a", (0, 0))
    assert inputs_sha256(one) == inputs_sha256(other)


def test_any_change_is_another(tmp_path: Path) -> None:
    plain = inputs_sha256(study(tmp_path / "plain", a=b"12", b=b"3"))
    changed = [
        study(tmp_path / "content", a=b"12", b=b"4"),
        study(tmp_path / "moved", a=b"1", b=b"23"),
        study(tmp_path / "name", a=b"12", c=b"3"),
        study(tmp_path / "depth", a=b"12", d__b=b"3"),
        study(tmp_path / "more", a=b"12", b=b"3", c=b""),
        study(tmp_path / "less", a=b"12"),
        study(tmp_path / "swapped", a=b"3", b=b"12"),
    ]
    found = [inputs_sha256(folder) for folder in changed]
    assert len({plain, *found}) == len(found) + 1


def test_an_archive_is_its_bytes(tmp_path: Path) -> None:
    study(tmp_path, a=b"zip", b=b"zip", c=b"zap")
    assert inputs_sha256(tmp_path / "a") == inputs_sha256(tmp_path / "b")
    assert inputs_sha256(tmp_path / "a") != inputs_sha256(tmp_path / "c")


def test_links_that_lead_nowhere_do_no_harm(tmp_path: Path) -> None:
    folder = study(tmp_path / "study", a=b"1")
    (folder / "gone").symlink_to(tmp_path / "nothing")
    (folder / "loop").symlink_to(folder)
    assert inputs_sha256(folder) != inputs_sha256(study(tmp_path / "plain", a=b"1"))


CHANGES = {
    "profile": "notebook",
    "provider": "cpu",
    "precision": "int8",
    "kidney_threshold": 1.0,
    "lesion_threshold": 1.0,
    "borderline": 0.5,
    "mask_cutoff": 0.4,
    "series": "1",
    "series_policy": "thinnest",
    "save": ["seg"],
}


def test_every_option_but_threads_is_part_of_the_settings() -> None:
    plain = settings_sha256(InferenceOptions())
    changed = {settings_sha256(InferenceOptions.parse(**{name: CHANGES[name]})) for name in CHANGES}
    assert len(changed | {plain}) == len(CHANGES) + 1
    assert settings_sha256(InferenceOptions(threads=3)) == plain
    assert {item.name for item in fields(InferenceOptions)} == {*CHANGES, "threads"}


def test_a_whole_disk_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (study(tmp_path / "huge", a=b"") / "a").open("wb") as file:
        file.truncate(1 << 40)
    for place in (tmp_path / "huge", tmp_path / "huge" / "a"):
        with pytest.raises(OSError, match="more bytes"):
            inputs_sha256(place)
    monkeypatch.setattr("rcc_onnx.batch.resume.MAX_FILES", 2)
    with pytest.raises(OSError, match="more files"):
        inputs_sha256(study(tmp_path / "many", a=b"", b=b"", c=b""))


def test_results_that_are_being_written_are_no_part_of_the_study(tmp_path: Path) -> None:
    plain = inputs_sha256(study(tmp_path / "in", a=b"1"))
    (tmp_path / "in" / "out").mkdir()
    (tmp_path / "in" / "out" / "b.json").write_text("2")
    assert inputs_sha256(tmp_path / "in") != plain
    (tmp_path / "in" / "out" / LOCK_NAME).touch()
    assert inputs_sha256(tmp_path / "in") == plain
