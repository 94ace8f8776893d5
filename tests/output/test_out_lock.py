import os
import subprocess
import sys
from pathlib import Path

import pytest
from rcc_onnx.output.lock import output_lock, remove_stale_files

from rcc_onnx.errors import OutputError
from tests.support.errors import raises_code

HOLDER = (
    "import sys, pathlib\n"
    "from rcc_onnx.output.lock import output_lock\n"
    "with output_lock(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def holder(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("killed", [False, True])
def test_two_runs_in_one_folder_refuse_each_other(tmp_path: Path, killed: bool) -> None:
    with holder(tmp_path) as other:
        with raises_code("output-busy", match="another run"), output_lock(tmp_path):
            pass
        if killed:
            other.kill()
        else:
            other.communicate()
        other.wait()
    # However the other ended, nothing is left in the way.
    with output_lock(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_folders_do_not_hold_each_other(tmp_path: Path) -> None:
    with output_lock(tmp_path / "a"), output_lock(tmp_path / "b"):
        pass


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --out"), output_lock(tmp_path / "file"):
        pass


def test_half_written_files_are_removed_and_nothing_else(tmp_path: Path) -> None:
    ours = [tmp_path / name for name in (".rcc-onnx-1.part", ".rcc-onnx-77.part.nii.gz")]
    others = [tmp_path / name for name in ("a.json", "x.part", ".rcc-onnx.lock", "rcc-onnx-1.part")]
    for path in (*ours, *others):
        path.write_text("x")
    assert remove_stale_files(tmp_path) == 2
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in others}
