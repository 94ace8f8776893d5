"""The commands `models ...`."""

import json
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.tiny_networks import write_bundle


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundles with one for phantoms, the only folder that is searched."""
    folder = tmp_path / "shelf"
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(folder))
    monkeypatch.setattr("rcc_onnx.bundles.bundle.shipped_models_folder", lambda: None)
    write_bundle(folder / "phantom", name="phantom")
    return folder


def test_models_list_shows_good_and_broken_ones(shelf: Path) -> None:
    write_bundle(shelf / "broken", name="broken")
    (shelf / "broken" / "kidney.onnx").write_bytes(b"")
    table = run("models", "list")
    assert table.exit_code == 0
    assert "phantom" in table.output
    assert "bundle-hash" in table.output
    listed = json.loads(run("models", "list", "--json").output)
    assert [(row["name"], (row["error"] or {}).get("code")) for row in listed] == [
        ("broken", "bundle-hash"),
        ("phantom", None),
    ]


def test_models_show_and_verify(tiny_bundle: Path) -> None:
    shown = run("models", "show", tiny_bundle)
    assert shown.exit_code == 0
    assert "certificate holds" in " ".join(shown.output.split())
    manifest = run("models", "show", tiny_bundle, "--json")
    assert json.loads(manifest.output)["name"] == "tiny"
    verified = run("models", "verify", tiny_bundle)
    assert verified.exit_code == 0
    assert "both networks ran on cpu" in verified.output
    assert "certificate holds" in verified.output


def test_models_verify_finds_a_changed_network(shelf: Path) -> None:
    path = shelf / "phantom" / "lesion.onnx"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    result = run("models", "verify", "phantom")
    assert result.exit_code == 2
    assert "[bundle-hash]" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["show", "nothing"], "unknown-bundle"), (["verify", "./nothing"], "bundle-folder")],
)
def test_a_bundle_that_is_not_there(arguments: list[str], code: str) -> None:
    result = run("models", *arguments)
    assert result.exit_code == 2
    assert f"[{code}]" in result.output
