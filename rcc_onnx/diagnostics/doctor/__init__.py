"""`rcc-onnx doctor`: whether this machine can analyse studies, and what to do if not."""

import getpass
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from rcc_onnx._version import __version__
from rcc_onnx.bundles.bundle import Bundle
from rcc_onnx.diagnostics.doctor import checks, networks
from rcc_onnx.diagnostics.doctor.checks import Category, Check, Verdict
from rcc_onnx.system.documents import STRICT
from rcc_onnx.types import RESEARCH_ONLY

__all__ = ["Category", "Check", "DoctorReport", "Verdict", "run_doctor"]


@dataclass(frozen=True)
class DoctorReport:
    """The document that `doctor --json` prints (docs/doctor.md)."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    schema_version: Literal[1]
    rcc_onnx_version: str
    notice: str
    verdict: Verdict
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, checks: Iterable[Check]) -> "DoctorReport":
        """Return a report whose verdict is the worst of its checks; what is missing is optional."""
        checks = tuple(checks)
        verdicts = {check.verdict for check in checks}
        worst = next((v for v in (Verdict.PROBLEM, Verdict.WARNING) if v in verdicts), Verdict.OK)
        return cls(1, __version__, RESEARCH_ONLY, worst, checks)


def run_doctor(
    models: str | None = None,
    out: Path | None = None,
    on_category: Callable[[Category], None] = lambda category: None,
) -> DoctorReport:
    """Check everything that an analysis needs on this machine. Takes some seconds.

    No check names the machine or its user, and paths below the home folder start with `~`, so that
    a report can be passed on. A check that fails becomes a problem in the report.

    Args:
        models: the only bundle to check, by name or folder. None: all that are found.
        out: a folder for results.
        on_category: called with each category before it is checked.
    """
    device_ids = checks.device_ids()
    chosen: list[Bundle | None] = [None]

    def check_bundles() -> Iterable[Check]:
        found, chosen[0] = networks.check_bundles(models)
        return found

    steps: tuple[tuple[Category, Callable[[], Iterable[Check]]], ...] = (
        (Category.SOFTWARE, checks.check_packages),
        (Category.SOFTWARE, checks.check_runtime),
        (Category.MACHINE, checks.check_machine),
        (Category.BUNDLES, check_bundles),
        (Category.PROVIDERS, lambda: networks.check_providers(chosen[0])),
        (Category.DECODING, checks.check_decoders),
        (Category.EXTRAS, checks.check_extras),
        (Category.FOLDERS, lambda: checks.check_folders(out)),
        (Category.TELEMETRY, lambda: checks.check_telemetry(device_ids)),
    )
    found: list[Check] = []
    for category, step in steps:
        on_category(category)
        try:
            found.extend(step())  # keeps what it found before it failed
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            message = f"this check failed: {type(error).__name__}: {reason}"
            remedy = "This is a defect: please report it."
            found.append(category.problem("check", message, remedy))
    return DoctorReport.of(_without_user(found))


def _without_user(found: Iterable[Check]) -> Iterable[Check]:
    """Replace home folders by `~` and the user's name in other paths by `USER`."""
    rules = []
    with suppress(RuntimeError, OSError):
        home = Path.home()
        for path in sorted({str(home), str(home.resolve())}, key=len, reverse=True):
            if len(Path(path).parts) > 1:
                rules.append((rf"{re.escape(path)}(?![\w.-])", "~"))
    with suppress(OSError, KeyError, ImportError):
        user = re.escape(getpass.getuser())
        rules.append((rf"(?<=[/\\]){user}(?=[/\\]|$|[\s:;,])", "USER"))

    def clean(text: str) -> str:
        for pattern, replacement in rules:
            text = re.sub(pattern, replacement, text)
        return text

    for check in found:
        yield replace(
            check,
            subject=clean(check.subject),
            message=clean(check.message),
            remedy=check.remedy and clean(check.remedy),
        )
