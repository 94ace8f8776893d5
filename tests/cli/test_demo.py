"""The commands `demo` and `phantom`."""

from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.tiny_networks import write_bundle


def test_demo_makes_a_phantom_and_analyses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(tmp_path / "shelf"))
    write_bundle(tmp_path / "shelf" / "phantom", name="phantom")
    for _ in range(2):  # the second run finds its own files there
        result = run("demo", "--seed", "2")
        assert result.exit_code == 0
        assert "Ground truth of phantom 2" in result.output
    assert (tmp_path / "rcc-onnx-demo" / "phantom-0002" / "001.dcm").is_file()
    results = Path("rcc-onnx-demo") / "results"
    assert (results / "phantom-0002.json").is_file()
    assert (results / "phantom-0002_overview.png").is_file()
    assert f"Look at {results / 'phantom-0002_overview.png'}" in result.output
    assert f"Open {results / 'report.html'}" in result.output
    assert "phantom-0002" in (results / "report.html").read_text()


def test_phantom_writes_studies_side_by_side(tmp_path: Path) -> None:
    result = run("phantom", tmp_path, "--seed", "4", "--count", "2")
    assert result.exit_code == 0
    folders = [tmp_path / "phantom-0004", tmp_path / "phantom-0005"]
    assert result.output.split() == [str(folder) for folder in folders]
    assert all((folder / "001.dcm").is_file() for folder in folders)
    (folders[0] / "mine.txt").write_text("")
    again = run("phantom", tmp_path, "--seed", "4")
    assert again.exit_code == 2
    assert "[output]" in again.output
