"""The processor, its CPUs and the memory, as far as this process may use them."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from rcc_onnx.diagnostics.doctor.lines import Line, Verdict
from rcc_onnx.system.host import memory, processor, processor_flags, usable_cpus

ROOM = "machine"

FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "asimd": "NEON",
    "asimddp": "NEON dot products",
}
"""What of a processor's abilities makes networks faster, by Linux's name."""

ENOUGH_FREE = 1 << 30
"""Bytes. An analysis with networks of the published size holds 300 to 500 MB, and files besides."""


def processor_lines() -> Iterator[Line]:
    """Which processor it is, and what it can do."""
    yield Line(ROOM, "processor", Verdict.OK, processor() or "unknown")
    flags = processor_flags()
    if not flags:
        said = f"unknown on {platform.system() or 'this system'}: nobody says what it can do"
        yield Line(ROOM, "features", Verdict.OK, said)
        return
    there = [words for flag, words in FEATURES.items() if flag in flags]
    absent = [words for flag, words in FEATURES.items() if flag not in flags]
    if "avx2" in flags or "asimd" in flags:
        said = f"has {', '.join(there)}"
        x86 = [words for words in absent if "NEON" not in words]
        if "asimd" not in flags and x86:
            said += f"; not {', '.join(x86)}"
        yield Line(ROOM, "features", Verdict.OK, said)
    else:
        mend = "Networks run, but slowly: a processor from 2014 or later is several times faster."
        yield Line(ROOM, "features", Verdict.WARNING, "no AVX2", mend)


def cpu_lines() -> Iterator[Line]:
    """How many CPUs there are, and how many this process may use."""
    there, allowed = os.cpu_count() or 1, usable_cpus()
    said = f"{allowed} of {there} may be used" if allowed != there else f"{there}, all may be used"
    yield Line(ROOM, "CPUs", Verdict.OK, said)


def memory_lines(root: Path = Path("/")) -> Iterator[Line]:
    """How much memory there is, and free."""
    found = memory(root)
    if found.total is None or found.free is None:
        yield Line(ROOM, "memory", Verdict.OK, "unknown: this system does not say")
        return
    limit = ", all that this process is granted" if found.limited else ""
    said = f"{_gib(found.free)} free of {_gib(found.total)}{limit}"
    if found.free < ENOUGH_FREE:
        mend = "Close other programs, or raise the limit: an analysis takes up to 1 GiB."
        yield Line(ROOM, "memory", Verdict.WARNING, said, mend)
    else:
        yield Line(ROOM, "memory", Verdict.OK, said)


def _gib(value: int) -> str:
    return f"{value / (1 << 30):.1f} GiB"
