"""The CPUs this process may use, against made-up /proc and /sys trees."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rcc_onnx.system import host as cpus
from rcc_onnx.system.host import usable_cpus


@pytest.fixture(autouse=True)
def sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "_scheduled_cpus", lambda: 16)


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
def test_quota(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert usable_cpus(_tree(tmp_path, files)) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_affinity() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from rcc_onnx.system.host import usable_cpus; print(usable_cpus())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "1\n"
