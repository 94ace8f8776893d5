"""The same study with the same options: the same files byte for byte, times apart."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from rcc_onnx.output.read import read_case

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import case_work, cases_in_this_process
from rcc_onnx.bundles.manifest import (
    ByNetwork,
    Certificate,
    Manifest,
    NetworkCertificate,
    Provenance,
    SourceFile,
)
from rcc_onnx.engine import Options
from rcc_onnx.options import Save, Saving
from rcc_onnx.output.document import schema_text
from rcc_onnx.output.exports import check_saving, same_but_for_times
from rcc_onnx.output.run import RunFiles
from rcc_onnx.phantom import make_study
from rcc_onnx.results import CertifiedBy
from rcc_onnx.system.documents import to_json
from rcc_onnx.types import Profile, ProviderName
from tests.support.results import case_result
from tests.support.tiny_networks import write_bundle


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(1, tmp_path_factory.mktemp("phantoms") / "one", quick=True).folder


def analyse(phantom: Path, bundle: Path, out: Path, profile: Profile) -> None:
    saving = Saving.of([Save.ALL]) if profile is Profile.STANDARD else Saving()
    check_saving(saving, profile)
    options = Options(profile, ProviderName.CPU, threads=2, lesion_threshold=1)
    work = case_work(str(bundle), options, out, saving)
    cases = [Case("one", phantom)]
    with RunFiles(options, cases, out, saving) as run:
        for ended in cases_in_this_process(work, cases, lambda *_: None):
            run.add(ended.result)


def without_times(path: Path) -> bytes:
    """Bytes of a case's document without its seconds, and without the hashes of DICOM files, which
    state when they were made."""
    data = path.read_bytes()
    document: dict[str, Any] = json.loads(data)
    times = json.dumps(document["timings_s"], indent=2).replace("\n", "\n  ").encode()
    dicom = [one["sha256"].encode() for one in document["files"] if one["name"].endswith(".dcm")]
    for one in (times, *dicom):
        assert data.count(one) == 1
        data = data.replace(one, b"")
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
    names = [one["name"] for one in document["files"]]
    assert ("one_seg.dcm" in names) == (profile is Profile.STANDARD)
    assert {"one_r.png", "one_l.png"} & set(names)
    there = {path.relative_to(first).as_posix() for path in first.rglob("*") if path.is_file()}
    assert there - set(names) == {
        "one.json",
        "results.csv",
        "results.json",
        "report.html",
        "SHA256SUMS",
    }
    for one in document["files"]:
        data, other = ((out / one["name"]).read_bytes() for out in outs)
        if one["name"].endswith(".dcm"):
            assert same_but_for_times(first / one["name"], second / one["name"])
            assert len(data) == len(other)
        else:
            assert data == other
        assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_what_the_document_can_be_traced_by(phantom: Path, tmp_path: Path) -> None:
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


def test_a_certificate_is_told_in_short() -> None:
    part = NetworkCertificate(12, 2e-6, True, (("noise", 12),))
    manifest = SimpleNamespace(
        provenance=Provenance(
            ByNetwork(
                SourceFile("a.h5", "a" * 64, "c" * 40, True),
                SourceFile("b.h5", "b" * 64, "c" * 40, False),
            ),
            (),
            Certificate(1e-4, part, replace(part, largest_difference=2e-4)),
        )
    )
    certified = CertifiedBy.of(cast(Manifest, manifest))
    document = CertifiedBy.as_json(certified)
    assert document == {
        "sources": {
            "kidney": {"sha256": "a" * 64, "published": True},
            "lesion": {"sha256": "b" * 64, "published": False},
        },
        "certificate": {
            "tolerance": 1e-4,
            "holds": False,
            "kidney": {"inputs": 12, "largest_difference": 2e-6, "decisions_equal": True},
            "lesion": {"inputs": 12, "largest_difference": 2e-4, "decisions_equal": True},
        },
    }
    assert CertifiedBy.from_json(document) == certified
    result = case_result()
    result = replace(result, models=replace(result.models, certified=certified))
    assert Draft202012Validator(json.loads(schema_text("case"))).is_valid(to_json(result))
    assert read_case(to_json(result)) == result.without_images()
