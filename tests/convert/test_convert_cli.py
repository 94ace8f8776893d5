"""The command line: what it prints, where, and with which exit code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from convert import cli
from rcc_onnx.bundles.manifest import read_manifest
from tests.support.fixtures_convert import TINY_FILES, run_convert

KIDNEY, LESION = str(TINY_FILES.kidney), str(TINY_FILES.lesion)
CHECKOUT = Path(__file__).parents[2]


def shell(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program in `cwd`, whose modules come first."""
    return subprocess.run(
        [sys.executable, "-m", "convert", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(cwd), str(CHECKOUT)])},
    )


def test_a_conversion_from_the_shell(tmp_path: Path) -> None:
    # From elsewhere, so that nothing depends on the current folder.
    done = shell(
        *(KIDNEY, LESION, "--name", "tiny", "--out", "models/tiny", "--version", "2.1"),
        *("--purpose", "A test.", "--licence", "MIT", "--use-on", "digital-phantom"),
        *("--kidney-threshold", "900", "--lesion-threshold", "40"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "not the published file" in done.stdout
    assert "2957b4d3d11f272ae67787cea06dc4cc958cf7ef" in done.stdout
    assert "26 of 26 decisions the same" in done.stdout
    assert f"written to {Path('models/tiny')}" in done.stdout
    assert "Next: rcc-onnx infer" in done.stdout
    # Progress is kept apart from results, and no other package writes in between.
    lines = done.stderr.splitlines()
    assert lines[0] == "Reading the files ..."
    assert len(lines) >= 6
    assert all(line.endswith(" ...") for line in lines)

    manifest = read_manifest((tmp_path / "models/tiny/manifest.json").read_bytes())
    assert (manifest.name, manifest.version, manifest.purpose) == ("tiny", "2.1", "A test.")
    assert manifest.licence == "MIT"
    assert manifest.use_on == ("digital-phantom",)
    assert (manifest.thresholds.kidney, manifest.thresholds.lesion) == (900, 40)


def test_a_refusal_from_the_shell_comes_before_tensorflow(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Forbidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('tensorflow', 'tf_keras', 'tf2onnx'):\n"
        "            raise AssertionError(name)\n"
        "sys.meta_path.insert(0, Forbidden())\n"
    )
    done = shell(LESION, KIDNEY, "--name", "x", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "Reading the files ...",
        "error [convert-swapped]: tumour_tiny.h5 is the lesion network and kidney_tiny.h5 the "
        "kidney network: swap the two arguments",
    ]
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_named(tmp_path: Path) -> None:
    (tmp_path / "h5py.py").write_text("raise ModuleNotFoundError('no h5py', name='h5py')\n")
    done = shell(KIDNEY, LESION, "--name", "x", "--out", "out", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error [convert-packages]: conversion needs the package h5py")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((KIDNEY, LESION, "--kidney-threshold", "-1"), "convert-option]: kidney threshold"),
        ((KIDNEY, LESION, "--kidney-threshold", "nan"), "convert-option]: kidney threshold"),
        ((KIDNEY, LESION, "--kidney-threshold", "inf"), "convert-option]: kidney threshold"),
        # The command has a name too, and options may come first.
        (("keras", "none.h5", LESION), "convert-missing]: none.h5"),
        (("--version", "2", KIDNEY, KIDNEY), "convert-swapped]"),
    ],
)
def test_errors_go_to_stderr_with_their_code(
    arguments: tuple[str, ...], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run_convert(*arguments, "--name", "x", "--out", str(out)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"error [{error}" in captured.err
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (KIDNEY,),
        (KIDNEY, LESION),
        (KIDNEY, LESION, "--name", "x"),
        (KIDNEY, LESION, "--name", "x", "--out", "out", "--use-on", "animals"),
        (KIDNEY, LESION, "--name", "x", "--out", "out", "--no-such-option"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_convert(*arguments) == 2
    assert list(tmp_path.iterdir()) == []


def test_help_explains_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_convert("--help") == 0
    text = capsys.readouterr().out
    assert "KIDNEY.h5" in text
    assert "2: refused" in text


def test_ctrl_c(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "convert_files", stop)
    assert run_convert(KIDNEY, LESION, "--name", "x", "--out", str(tmp_path / "out")) == 130
    assert capsys.readouterr().err.strip() == "stopped; nothing was written"
