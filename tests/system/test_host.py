"""CPUs, memory and software of this process; quotas against made-up /proc and /sys trees."""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from rcc_onnx.system import host
from rcc_onnx.system.host import PACKAGES, Memory, environment, memory, packages, usable_cpus


def _tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2 = "0::/user.slice/job\n"
V1 = "4:memory:/x\n3:cpuacct,cpu:/docker/abc\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16),
        ({"proc/self/cgroup": V2}, 16),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "max 100000\n"}, 16),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "1000 100000\n"}, 1),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "9900000 100000"}, 16),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/cpu.max": "300000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "nonsense"}, 16),
        ({"proc/self/cgroup": V2, "sys/fs/cgroup/user.slice/job/cpu.max": "100 0"}, 16),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "500000\n",
                "sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            16,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/memory/docker/abc/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/memory/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            16,
        ),
    ],
)
def test_cpu_quota(
    tmp_path: Path, files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_scheduled_cpus", lambda: 16)
    assert usable_cpus(_tree(tmp_path, files)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_affinity() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from rcc_onnx.system.host import usable_cpus; print(usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "1\n"


GIB = 1 << 30
MEMINFO = {"proc/meminfo": f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Memory(16 * GIB, 8 * GIB)),
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                "sys/fs/cgroup/job/memory.max": str(4 * GIB),
                "sys/fs/cgroup/job/memory.current": str(3 * GIB),
                "sys/fs/cgroup/job/memory.stat": f"anon 1\ninactive_file {GIB}\n",
                "sys/fs/cgroup/job/step/memory.max": "max\n",
                "sys/fs/cgroup/job/step/memory.current": "1\n",
            },
            Memory(4 * GIB, 2 * GIB, limited=True),
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/a\n4:memory:/b\n",
                "sys/fs/cgroup/memory/b/memory.limit_in_bytes": str(2 * GIB),
                "sys/fs/cgroup/memory/b/memory.usage_in_bytes": str(2 * GIB + 5),
            },
            Memory(2 * GIB, 0, limited=True),
        ),
        (
            {  # version 1 without a limit
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000",
            },
            Memory(16 * GIB, 8 * GIB),
        ),
    ],
    ids=["no limit", "version 2", "version 1", "a limit beyond the machine"],
)
def test_the_smallest_limit_counts(
    files: dict[str, str], expected: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert memory(_tree(tmp_path, MEMINFO | files)) == expected


def test_memory_is_unknown_where_the_system_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert memory(tmp_path) == Memory(None, None)


def test_memory_of_other_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    found = memory()
    assert found == Memory(psutil.virtual_memory().total, found.free)
    assert found.total is not None
    assert found.free is not None
    assert 0 < found.free < found.total


def test_no_name_of_the_machine_or_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "ward-7-of-dr-roe")
    monkeypatch.setenv("USER", "roe")
    found = environment()
    assert "roe" not in json.dumps(asdict(found))
    assert found.python == platform.python_version()
    assert found.usable_cpus >= 1


def test_versions_of_packages() -> None:
    found = packages()
    assert set(found) == set(PACKAGES)
    assert found["numpy"] == version("numpy")


def test_a_field_is_found_by_its_whole_name(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("VmRSSx:\t 1 kB\nVmRSS:\t 12 kB\nflags\t\t: fpu vme\nVmHWM\n")
    assert host.read_kilobytes(status, "VmRSS") == 12 * 1024
    assert host.read_field(status, "flags") == "fpu vme"
    assert host.read_kilobytes(status, "VmHWM") is None
    assert host.read_field(tmp_path / "missing", "VmRSS") == ""
