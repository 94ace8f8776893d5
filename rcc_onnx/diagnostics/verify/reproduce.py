"""`rcc-onnx verify OUT --reproduce CASE`: a case analysed again, and compared with its result."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import BatchConfig, analyse_case
from rcc_onnx.bundles.bundle import Bundle, find_bundle, installed_bundles
from rcc_onnx.diagnostics.verify.folder import require_folder
from rcc_onnx.errors import CheckError, RccOnnxError, SumsFormatError
from rcc_onnx.options import InferenceOptions
from rcc_onnx.output.case import OVERVIEW
from rcc_onnx.output.checksums import SUMS_NAME, read_sums
from rcc_onnx.output.exports import check_exports
from rcc_onnx.output.exports.uids import same_but_for_times
from rcc_onnx.output.folder import OutputFolder, StoredCase
from rcc_onnx.output.html.case_images import case_images_name
from rcc_onnx.results import CaseResult, FailedCase, ModelsUsed
from rcc_onnx.runtime.providers import SPECS
from rcc_onnx.runtime.self_test import HALF_SUM_TOLERANCE
from rcc_onnx.system.documents import DocumentError, Json, to_json
from rcc_onnx.system.files import size_and_sha256
from rcc_onnx.types import Precision, ProviderName

SUM_TOLERANCE = 1e-3
"""Of a sum of probabilities, as a part of it or of its threshold, whichever is larger. Processors
and providers add up in other orders, and a certificate accepts 1e-4 in a probability: sums stay
well within a thousandth, and one that moved further has another cause. Where either analysis
computed in fewer bits, `HALF_SUM_TOLERANCE` of the self-test counts."""
MEASURE_TOLERANCE = 0.01
"""Of volumes, mean HU and centers: a probability at the cut-off may fall on its other side, and
then a voxel of the outline is gone."""
SMALLEST_DIFFERENCE = 0.1
"""In ml, HU and mm: what such a voxel may do to a value near 0."""

IGNORED = ("timings_s", "files")
"""Seconds, and hashes of files, which are compared as files."""
SETUP = (
    "rcc_onnx_version",
    "environment",
    "provider",
    "options.provider",
    "models.sha256",
    "fingerprint.settings_sha256",
)
"""Fields that state what ran where. `models.sha256` names the variant that ran."""
PACKAGING = (
    "fingerprint.inputs_sha256",
    "study.files_found",
    "study.skipped_files",
    "intake.files_used",
    "intake.other_series",
    "intake.first",
    "intake.last",
    "intake.transfer_syntax",
)
"""Fields that state which files the images came in."""
SUMS = ("probability_sum", "margin.absolute", "margin.relative")
MEASURED = ("volume_ml", "mean_hu", "centre_lps_mm", "kidney_volumes_ml", "lesion_volumes_ml")


class Verdict(StrEnum):
    """`same`: decisions and pictures are the same, and numbers within the tolerances."""

    IDENTICAL = "identical"
    SAME = "same"
    DIFFERENT = "different"


@dataclass(frozen=True)
class Difference:
    """A field with two values."""

    field: str
    before: Json
    now: Json


@dataclass(frozen=True)
class FileDifference:
    """A file that is not the same.

    Attributes:
        is_answer: it shows another answer. Others may show a number or what ran, and follow those.
    """

    file: str
    text: str
    is_answer: bool


@dataclass(frozen=True)
class Reproduction:
    """The document that `verify --reproduce --json` prints (docs/verifying.md).

    Attributes:
        same_files: whether the input is the same files. If not, they hold the same images.
        as_listed: whether the case's document has the hash that SHA256SUMS lists; None: it lists
            none.
        largest_sum_difference: of a sum that differs within `sum_tolerance`.
        setup: fields that state what ran where.
        packaging: fields that state which files the images came in.
        numbers: sums and measurements that differ within the tolerances.
        answers: every other field that differs.
    """

    case: str
    verdict: Verdict
    same_files: bool
    as_listed: bool | None
    largest_sum_difference: float
    sum_tolerance: float
    measure_tolerance: float
    setup: tuple[Difference, ...]
    packaging: tuple[Difference, ...]
    numbers: tuple[Difference, ...]
    answers: tuple[Difference, ...]
    files: tuple[FileDifference, ...]


def reproduce(  # noqa: PLR0913  keyword options of the command
    out: Path,
    case: str,
    study: Path | None,
    *,
    models: str | None = None,
    provider: ProviderName | None = None,
    on_progress: Callable[[str, float], None] = lambda stage, done: None,
) -> Reproduction:
    """Analyse a case again, into a folder that is removed afterwards, and compare.

    Args:
        out: the folder of results; nothing in it is touched.
        case: name of the case there.
        study: folder or archive of its study.
        models: name or folder of the bundle. None: the installed one that gave the result.
        provider: None: the one that was requested then.
        on_progress: called with each stage and how much of it is done.

    Raises:
        CheckError (check-folder, reproduce-case): there is no result to reproduce.
        CheckError (reproduce-input): no study was named.
        CheckError (other-models): the bundle is not there, or another one was named.
        CheckError (other-images): the study holds other images.
        RccOnnxError: the analysis fails now, with its own code.
    """
    stored, before = _read_result(out, case)
    if study is None:
        raise CheckError(
            "name the study with --input: results hold no paths on purpose, as those may be names "
            "of patients",
            code="reproduce-input",
        )
    bundle = _find_bundle(before.models, models)
    options = before.options if provider is None else replace(before.options, provider=provider)
    check_exports(options)
    again = Case(case, study, hide_names=before.study.pseudonym)
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-") as scratch:
        now = _analyse(bundle, options, again, Path(scratch), on_progress)
        _check_images(before, now)
        files = tuple(compare_files(case, (before, out), (now, Path(scratch))))
    listed = _listed_sha256(out, stored.name)
    as_listed = None if listed is None else listed == hashlib.sha256(stored.data).hexdigest()
    return replace(compare(before, now, files), as_listed=as_listed)


def _read_result(out: Path, case: str) -> tuple[StoredCase, CaseResult]:
    require_folder(out)
    path = out / f"{case}.json"
    if Path(case).name != case or not path.is_file():
        message = f"{out} has no case {case!r}; cases are named as their JSON is"
        raise CheckError(message, code="reproduce-case")
    try:
        stored = OutputFolder(out).stored_case(path.name)
    except DocumentError as error:
        message = f"{path} is not a document of this version, or was changed ({error})"
        raise CheckError(message, code="reproduce-case") from error
    if not stored.is_own:
        message = f"{path} is the document of another case; it was renamed"
        raise CheckError(message, code="reproduce-case")
    if isinstance(stored.result, FailedCase):
        message = f"{case} failed then; there is no result to reproduce"
        raise CheckError(message, code="reproduce-case")
    return stored, stored.result


def _analyse(
    bundle: Bundle,
    options: InferenceOptions,
    case: Case,
    scratch: Path,
    on_progress: Callable[[str, float], None],
) -> CaseResult:
    config = BatchConfig(scratch, options, str(bundle.folder.resolve()))
    analyse_case(config.engine(), config, case, on_progress)
    # As its document holds it, like the one that it is compared with.
    result = OutputFolder(scratch).stored_case(f"{case.name}.json").result
    if isinstance(result, FailedCase):
        raise RccOnnxError(result.error.message, code=result.error.code)
    return result


def _listed_sha256(out: Path, name: str) -> str | None:
    try:
        return read_sums((out / SUMS_NAME).read_bytes()).get(name)
    except (OSError, SumsFormatError):
        return None


def _find_bundle(used: ModelsUsed, models: str | None) -> Bundle:
    """Return the bundle that gave a result."""
    hashes = ", ".join(f"{name} {sha256}" for name, sha256 in used.sha256.items())
    wanted = f"the result is of the bundle {used.name} {used.version} with the networks {hashes}"
    if models is not None:
        bundle = find_bundle(models)
        if used.came_from(bundle.manifest):
            return bundle
        found = f"{bundle.manifest.name} {bundle.manifest.version} in {bundle.folder}"
        raise CheckError(f"{wanted}; {found} is another one", code="other-models")
    bundles = [bundle for bundle in installed_bundles() if isinstance(bundle, Bundle)]
    for bundle in bundles:
        if used.came_from(bundle.manifest):
            return bundle
    names = ", ".join(f"{bundle.manifest.name} {bundle.manifest.version}" for bundle in bundles)
    raise CheckError(
        f"{wanted}, which is not installed (installed: {names or 'none'}). Install it, or name its "
        "folder with --models",
        code="other-models",
    )


def _check_images(before: CaseResult, now: CaseResult) -> None:
    if before.study.images_sha256 != now.study.images_sha256:
        raise CheckError(
            "the input holds other images than those that were analysed: "
            f"{now.study.slices_analysed} analysed slices now and {before.study.slices_analysed} "
            "then, with another hash of UIDs and pixels. Name the study that the result is of",
            code="other-images",
        )


# --- Comparison of documents ---------------------------------------------------------------------


def compare(
    before: CaseResult, now: CaseResult, files: tuple[FileDifference, ...] = ()
) -> Reproduction:
    """Return what differs between two results of a case.

    Args:
        before: as it was written.
        now: as it was reproduced.
        files: those of the case that differ.
    """
    groups: dict[str, list[Difference]] = {
        "setup": [],
        "packaging": [],
        "numbers": [],
        "answers": [],
    }
    largest, tolerance = 0.0, _sum_tolerance(before, now)
    for difference in _differences(to_json(before), to_json(now), ""):
        field = difference.field
        if _is_below(field, IGNORED):
            continue
        if _is_below(field, SETUP):
            groups["setup"].append(difference)
        elif _is_below(field, PACKAGING):
            groups["packaging"].append(difference)
        elif field.startswith("sides.") and field.endswith(SUMS):
            moved = _relative_difference(before, difference)
            groups["numbers" if moved <= tolerance else "answers"].append(difference)
            largest = max(largest, moved) if moved <= tolerance else largest
        else:
            groups["numbers" if _is_near(difference) else "answers"].append(difference)
    # Files show numbers and setup, and may follow them.
    follows = bool(groups["setup"] or groups["numbers"])
    verdict = Verdict.SAME if groups["numbers"] or files else Verdict.IDENTICAL
    if groups["answers"] or any(file.is_answer or not follows for file in files):
        verdict = Verdict.DIFFERENT
    inputs = {difference.field for difference in groups["packaging"]}
    return Reproduction(
        case=before.case,
        verdict=verdict,
        same_files="fingerprint.inputs_sha256" not in inputs,
        as_listed=None,
        largest_sum_difference=largest,
        sum_tolerance=tolerance,
        measure_tolerance=MEASURE_TOLERANCE,
        files=files,
        **{name: tuple(group) for name, group in groups.items()},
    )


def _sum_tolerance(*results: CaseResult) -> float:
    fewer_bits = any(
        SPECS[result.provider.ran].always_half or result.provider.precision is not Precision.FLOAT32
        for result in results
    )
    return HALF_SUM_TOLERANCE if fewer_bits else SUM_TOLERANCE


def _differences(before: Json, now: Json, field: str) -> Iterator[Difference]:
    """Compare field by field; lists item by item where they are of one length."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*before, *now)):
            below = f"{field}.{name}".lstrip(".")
            yield from _differences(before.get(name), now.get(name), below)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now, strict=True)):
            yield from _differences(*pair, f"{field}[{index}]")
    elif before != now:
        yield Difference(field, before, now)


def _is_below(field: str, parents: tuple[str, ...]) -> bool:
    return f"{field}.".replace("[", ".").startswith(tuple(f"{parent}." for parent in parents))


def _relative_difference(before: CaseResult, difference: Difference) -> float:
    """Return how far a sum, or its margin, moved: as a part of the sum or of its threshold."""
    _, side, network, *name = difference.field.split(".")
    total: float = getattr(before.sides[side], network).probability_sum  # type: ignore[index]
    threshold: float = getattr(before.thresholds, network)
    if difference.before is None or difference.now is None:
        return np.inf
    moved: float = abs(difference.before - difference.now)
    if name[-1] == "relative":
        moved *= threshold
    return moved / max(total, threshold, 1.0)


def _is_near(difference: Difference) -> bool:
    """Return whether two measurements differ within the tolerance."""
    parts = difference.field.partition("[")[0].split(".")
    if parts[0] != "sides" or parts[-1] not in MEASURED:
        return False
    values = (difference.before, difference.now)
    if not all(isinstance(value, int | float) for value in values):
        return False
    accepted = max(MEASURE_TOLERANCE * max(map(abs, values)), SMALLEST_DIFFERENCE)
    return bool(abs(values[0] - values[1]) <= accepted)


# --- Comparison of files -------------------------------------------------------------------------


def compare_files(
    case: str, before: tuple[CaseResult, Path], now: tuple[CaseResult, Path]
) -> Iterator[FileDifference]:
    """Yield the files of a case that differ, given two results with the folders that hold them.

    Times in DICOM files do not count.
    """
    then, again = ({file.name: file.sha256 for file in result.files} for result, _ in (before, now))
    for name in sorted(then.keys() | again.keys()):
        path, new_path = (folder / name for _, folder in (before, now))
        if name not in then or name not in again:
            text = "was not written then" if name in again else "is not written now"
            yield FileDifference(name, text, is_answer=True)
        elif not path.is_file():
            if path != before[1] / case_images_name(case):  # which may be removed
                yield FileDifference(name, "is not there any more", is_answer=True)
        elif size_and_sha256(path)[1] != then[name]:
            yield FileDifference(name, "was changed since it was written", is_answer=True)
        elif then[name] != again[name]:
            yield from _compare_file(name, path, new_path)


def _compare_file(name: str, before: Path, now: Path) -> Iterator[FileDifference]:
    if name.endswith(".png"):
        text = _pixel_difference(before, now)
        if text:
            # The overview prints sums and draws outlines; the small pictures show pixels and a box.
            yield FileDifference(name, text, is_answer=not name.endswith(OVERVIEW))
    elif not (name.endswith(".dcm") and same_but_for_times(before, now)):
        yield FileDifference(name, "has other bytes", is_answer=False)


def _pixel_difference(before: Path, now: Path) -> str:
    """Return how two pictures differ; "" if they show the same."""
    try:
        with Image.open(before) as first, Image.open(now) as second:
            pixels: list[Any] = [np.asarray(image.convert("RGB")) for image in (first, second)]
    except (OSError, UnidentifiedImageError):
        return "cannot be read as a picture"
    if pixels[0].shape != pixels[1].shape:
        return "has another size"
    differ = (pixels[0] != pixels[1]).any(axis=2)
    return f"differs in {differ.sum()} of {differ.size} pixels" if differ.any() else ""
