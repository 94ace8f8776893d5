"""One case of a folder of results, analysed again with the options in its document."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rcc_onnx.batch.cases import Case
from rcc_onnx.batch.runner import case_work, do_case
from rcc_onnx.bundles.bundle import Bundle, find_bundle, installed_bundles
from rcc_onnx.diagnostics.verify.compare import Comparison, compare
from rcc_onnx.diagnostics.verify.compare_files import CaseFolder, file_differences
from rcc_onnx.dicom import SeriesSelection
from rcc_onnx.engine import Options
from rcc_onnx.errors import CheckError, SumsFormatError
from rcc_onnx.options import Save, Saving
from rcc_onnx.output.checksums import SUMS_NAME, read_sums
from rcc_onnx.output.exports import check_saving
from rcc_onnx.output.read import read_case
from rcc_onnx.output.run import as_case_document, listed_files
from rcc_onnx.results import AskedOptions, CaseResult, FailedCase, MeasuringOptions, ModelsUsed
from rcc_onnx.types import Precision, Profile, ProviderName, SeriesPolicy

Json = dict[str, Any]
Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Reproduction:
    """A case, and how it compares with the same made again.

    Attributes:
        same_files: whether the input is the same files. If not, they hold the same images.
        as_listed: whether the case's document has the hash that SHA256SUMS lists; None: it lists
            none.
    """

    case: str
    same_files: bool
    as_listed: bool | None
    comparison: Comparison


@dataclass(frozen=True)
class _Before:
    """What the folder says of the case. `as_listed`: as in `Reproduction`."""

    document: Json
    result: CaseResult
    asked: AskedOptions
    as_listed: bool | None


def reproduce(  # noqa: PLR0913  keyword options of the command
    out: Path,
    case: str,
    study: Path | None,
    *,
    models: str | None = None,
    provider: ProviderName | None = None,
    tell: Tell = lambda stage, part: None,
) -> Reproduction:
    """Analyse a case again, into a folder that is removed afterwards, and compare.

    Args:
        out: the folder of results; nothing in it is touched.
        case: name of the case there.
        study: folder or archive of its study.
        models: name or folder of the bundle. None: the installed one that gave the result.
        provider: None: the one that was asked for then.
        tell: told the stage and how much of it is done.

    Raises:
        CheckError (check-folder, reproduce-case): no such folder, or no result to make again in it.
        CheckError (reproduce-input): no study was named.
        CheckError (other-models): the bundle is not there, or another one was named.
        CheckError (other-images): the study holds other images.
        RccOnnxError: the analysis fails now, with its own code.
    """
    before = _before(out, case)
    if study is None:
        raise CheckError(
            "say where the study lies with --input: results hold no paths on purpose, as those may "
            "be names of patients",
            code="reproduce-input",
        )
    bundle = _bundle(before.result.models, models)
    options, saving = _asked_again(before.asked, provider)
    check_saving(saving, options.profile)
    with tempfile.TemporaryDirectory(prefix="rcc-onnx-") as scratch:
        work = case_work(str(bundle.folder.resolve()), options, Path(scratch), saving)
        again = Case(case, study, hide_names=before.asked.pseudonyms)
        now = do_case(work.engine(), work, again, tell).result
        if isinstance(now, FailedCase):
            raise now.error
        _check_images(before.result, now)
        data = (Path(scratch) / f"{case}.json").read_bytes()
        document = as_case_document(data) or {}
        then = CaseFolder(out, listed_files(before.document))
        files = tuple(
            file_differences(case, then, CaseFolder(Path(scratch), listed_files(document)))
        )
    comparison = compare(before.document, document, files)
    same_files = not any(one.field == "fingerprint.inputs_sha256" for one in comparison.packaging)
    return Reproduction(case, same_files, before.as_listed, comparison)


def _before(out: Path, case: str) -> _Before:
    if not out.is_dir():
        raise CheckError(
            f"{out} is no folder; give the folder that rcc-onnx infer wrote to", code="check-folder"
        )
    path = out / f"{case}.json"
    if Path(case).name != case or not path.is_file():
        raise CheckError(
            f"{out} has no case {case!r}; cases are called as their JSON is", code="reproduce-case"
        )
    data = path.read_bytes()
    document = as_case_document(data)
    if document is None or document["case"] != case:
        raise CheckError(
            f"{path} is not the document of this case; it was changed", code="reproduce-case"
        )
    if document["status"] == "failed":
        raise CheckError(
            f"{case} failed then; there is no result to make again", code="reproduce-case"
        )
    result = read_case(document)
    if result is None or result.asked is None:
        raise CheckError(
            f"{path} does not state what it was analysed with: it is damaged, or version "
            f"{document['rcc_onnx_version']} wrote it. Analyse the study again",
            code="reproduce-case",
        )
    listed = _listed_sha256(out, path.name)
    as_listed = None if listed is None else listed == hashlib.sha256(data).hexdigest()
    return _Before(document, result, result.asked, as_listed)


def _listed_sha256(out: Path, name: str) -> str | None:
    try:
        return read_sums((out / SUMS_NAME).read_bytes()).get(name)
    except (OSError, SumsFormatError):
        return None


def _asked_again(asked: AskedOptions, provider: ProviderName | None) -> tuple[Options, Saving]:
    """What was asked for, from a document that anybody may have edited."""
    policy = asked.series_policy
    try:
        options = Options(
            profile=Profile(asked.profile),
            provider=provider or ProviderName(asked.provider),
            threads=asked.threads,
            kidney_threshold=asked.kidney_threshold,
            lesion_threshold=asked.lesion_threshold,
            wish=SeriesSelection(asked.series, None if policy is None else SeriesPolicy(policy)),
            precision=Precision(asked.precision),
            measuring=MeasuringOptions(asked.mask_cutoff, asked.borderline),
        )
        return options, Saving.of([Save(one) for one in asked.save])
    except (TypeError, ValueError) as error:
        raise CheckError(
            f"the options in the case's JSON are none that there are ({error}); it was changed",
            code="reproduce-case",
        ) from error


def _bundle(used: ModelsUsed, named: str | None) -> Bundle:
    """The bundle that gave a result."""
    wanted = f"{used.name} {used.version} with the networks " + ", ".join(
        f"{name} {sha256}" for name, sha256 in used.network_sha256.items()
    )
    if named is not None:
        bundle = find_bundle(named)
        if not used.came_from(bundle.manifest):
            there = f"{bundle.manifest.name} {bundle.manifest.version}"
            raise CheckError(
                f"the result is of the bundle {wanted}. {there} in {bundle.folder} is another one",
                code="other-models",
            )
        return bundle
    bundles = [one for one in installed_bundles() if isinstance(one, Bundle)]
    for one in bundles:
        if used.came_from(one.manifest):
            return one
    raise CheckError(
        f"the result is of the bundle {wanted}, which is not installed{_installed(bundles)}. "
        "Install it, or name its folder with --models",
        code="other-models",
    )


def _installed(bundles: Sequence[Bundle]) -> str:
    names = ", ".join(f"{one.manifest.name} {one.manifest.version}" for one in bundles)
    return f" (installed: {names or 'none'})"


def _check_images(before: CaseResult, now: CaseResult | FailedCase) -> None:
    if isinstance(now, CaseResult) and before.study.images_sha256 != now.study.images_sha256:
        raise CheckError(
            "the input holds other images than those that were analysed: "
            f"{now.study.slices_analysed} analysed slices now and {before.study.slices_analysed} "
            "then, with another hash of UIDs and pixels. Name the study that the result is of",
            code="other-images",
        )
