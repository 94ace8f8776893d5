import json
import platform
from importlib.metadata import version

import pytest

from rcc_onnx.system.host import PACKAGES, machine, packages


def test_no_name_of_the_machine_or_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "ward-7-of-dr-roe")
    monkeypatch.setenv("USER", "roe")
    assert "roe" not in json.dumps(machine())
    assert machine()["python"] == platform.python_version()
    assert machine()["usable_cpus"] >= 1


def test_versions_of_packages() -> None:
    found = packages()
    assert set(found) == set(PACKAGES)
    assert found["numpy"] == version("numpy")
