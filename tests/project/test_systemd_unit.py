"""The unit of `rcc-onnx watch` for systemd."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rcc_onnx.cli.app import app

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "rcc-onnx-watch.service"


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser


def test_it_has_no_network_and_writes_results_only(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    assert service["Type"] == "exec"
    assert service["PrivateNetwork"] == service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["KillMode"] == "mixed"
    words = service["ExecStart"].split()
    assert words[words.index("--out") + 1] == service["ReadWritePaths"]


def test_its_command_exists(unit: configparser.ConfigParser) -> None:
    words = unit["Service"]["ExecStart"].split()[1:]
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert "INBOX" in result.output


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_accepts_it(tmp_path: Path) -> None:
    # It looks for the program and the user, which are not on this machine.
    text = UNIT.read_text(encoding="utf-8").replace("/opt/rcc-onnx/bin/rcc-onnx", "/bin/true")
    path = tmp_path / UNIT.name
    path.write_text(text.replace("=rcc-onnx\n", "=root\n"), encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_COLORS": "0"},
    )
    assert (checked.returncode, checked.stderr) == (0, "")
