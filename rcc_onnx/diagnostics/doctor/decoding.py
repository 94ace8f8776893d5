"""Pixel plug-ins: each transfer syntax that the intake reads, really decoded."""

from collections.abc import Iterator

from rcc_onnx.diagnostics.doctor.apart import CrashedError, apart
from rcc_onnx.diagnostics.doctor.lines import Line, Verdict

ROOM = "decoding"
SECONDS = 60.0

PLUGINS = (
    ("JPEG 2000", "pylibjpeg pylibjpeg-openjpeg"),
    ("HTJ2K", "pylibjpeg pylibjpeg-openjpeg"),
    ("JPEG", "python-gdcm"),
    ("", "pydicom numpy"),
)
"""Which packages decode what, by the start of its name; the first that fits."""


def decoding_lines() -> Iterator[Line]:
    """One line for each transfer syntax."""
    try:
        decodings = apart(_tried, None, SECONDS)
    except CrashedError as error:
        mend = "Install the plug-ins again: pip install --force-reinstall " + " ".join(
            sorted({one for _, packages in PLUGINS for one in packages.split()})
        )
        yield Line(ROOM, "plug-ins", Verdict.PROBLEM, f"decoding a small image: {error}", mend)
        return
    for name, uid, problem in decodings:
        if problem:
            packages = next(packages for start, packages in PLUGINS if name.startswith(start))
            said = f"{uid} cannot be decoded: {problem}"
            mend = f"pip install --force-reinstall {packages}, or export series uncompressed."
            yield Line(ROOM, name, Verdict.WARNING, said, mend)
        else:
            yield Line(ROOM, name, Verdict.OK, f"{uid} is decoded")


def _tried(_: None) -> list[tuple[str, str, str]]:
    from rcc_onnx.dicom.codec_check import try_decoders  # noqa: PLC0415  where a crash costs a line

    return [(one.name, one.uid, one.problem) for one in try_decoders()]
