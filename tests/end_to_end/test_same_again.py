"""The same study with the same options: the same files byte for byte, times apart."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, run_batch
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.exports.uids import same_but_for_times
from rcc_onnx.output.run import RUN_FILES
from rcc_onnx.phantom import make_study
from rcc_onnx.types import Profile
from tests.support.tiny_networks import write_bundle


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "one", quick=True).folder


def analyse(phantom: Path, bundle: Path, out: Path, profile: Profile) -> None:
    save = ["all"] if profile is Profile.STANDARD else []
    options = InferenceOptions.parse(
        profile=profile, provider="cpu", threads=2, lesion_threshold=1.0, save=save
    )
    run_batch([Case("one", phantom)], BatchConfig(out, options, models=str(bundle)))


def without_times(path: Path) -> bytes:
    """Bytes of a case's document without its seconds, and without the hashes of DICOM files, which
    state when they were made."""
    data = path.read_bytes()
    document: dict[str, Any] = json.loads(data)
    times = json.dumps(document["timings_s"], indent=2).replace("\n", "\n  ").encode()
    dicom = [file["sha256"].encode() for file in document["files"] if file["name"].endswith(".dcm")]
    for part in (times, *dicom):
        assert data.count(part) == 1
        data = data.replace(part, b"")
    return data


@pytest.mark.parametrize("profile", Profile)
def test_the_same_again(phantom: Path, tmp_path: Path, profile: Profile) -> None:
    bundle = write_bundle(tmp_path / "tiny")
    outs = [tmp_path / name for name in ("first", "second")]
    for out in outs:
        analyse(phantom, bundle, out, profile)
    first, second = outs
    assert without_times(first / "one.json") == without_times(second / "one.json")
    document = json.loads((first / "one.json").read_bytes())
    names = [file["name"] for file in document["files"]]
    assert ("one_seg.dcm" in names) == (profile is Profile.STANDARD)
    assert {"one_r.png", "one_l.png"} & set(names)
    there = {path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()}
    assert there - set(names) == {"one.json", *RUN_FILES}
    for file in document["files"]:
        data, other = ((out / file["name"]).read_bytes() for out in outs)
        if file["name"].endswith(".dcm"):
            assert same_but_for_times(first / file["name"], second / file["name"])
            assert len(data) == len(other)
        else:
            assert data == other
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_document_states_what_the_result_was_made_with(phantom: Path, tmp_path: Path) -> None:
    analyse(phantom, write_bundle(tmp_path / "tiny"), tmp_path / "out", Profile.STANDARD)
    document = json.loads((tmp_path / "out" / "one.json").read_bytes())
    run = json.loads((tmp_path / "out" / "results.json").read_bytes())
    assert document["options"] == run["options"]
    assert document["options"]["save"] == ["nifti", "probabilities", "seg", "sr"]
    assert document["options"]["threads"] == 2
    assert document["environment"] == run["environment"]
    assert document["environment"]["architecture"]
    assert len(document["study"]["images_sha256"]) == 64
    # The bundle was made by hand.
    assert document["models"]["sources"] is None
    assert document["models"]["certificate"] is None
