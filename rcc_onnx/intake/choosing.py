"""Which series of a study is analysed: the only suitable one, or the one that was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rcc_onnx.errors import (
    IntakeError,
    NoSuitableSeriesError,
    SeveralSeriesError,
    SeveralStudiesError,
    UnknownSeriesError,
)
from rcc_onnx.intake.candidates import Candidate, Contents
from rcc_onnx.intake_record import SeriesRow
from rcc_onnx.values import SeriesPolicy

TOO_SHORT_MM = 40.0
"""A series that covers less, beside one that covers more, is a test slice or a bolus tracking run:
no kidney fits into it."""
TEST_SLICES = 5
"""A series of fewer slices is a scout or a test shot."""
MAX_LISTED = 8
"""Series that a message lists; `rcc-onnx series` lists all."""
SAME_SPACING_MM = 0.01
"""Spacings that differ by less are the same for `thinnest`: positions are rounded in files."""


@dataclass(frozen=True)
class SeriesWish:
    """What was asked for.

    Attributes:
        series: a label of the table, a SeriesNumber or a SeriesInstanceUID.
        policy: how to choose where several are suitable.
    """

    series: str | None = None
    policy: SeriesPolicy | None = None


def choose(contents: Contents, wish: SeriesWish) -> tuple[Candidate, str]:
    """The candidate to analyse, which is suitable, and why it was chosen, in a sentence.

    Raises:
        IntakeError: the refusal of the only candidate, or of the one that was asked for.
        NoSuitableSeriesError, SeveralSeriesError, SeveralStudiesError, UnknownSeriesError.
    """
    if wish.series is not None:
        return _named(contents, wish.series), f"it was asked for as {wish.series!r}"
    suitable = [one for one in contents.candidates if one.stack is not None]
    if not suitable:
        raise _none_suitable(contents)
    long = [one for one in suitable if one.row.extent_mm >= TOO_SHORT_MM]
    contenders = long or suitable
    if len(contenders) == 1:
        return contenders[0], "it is the only suitable series"
    if wish.policy is None:
        raise SeveralSeriesError(
            f"{contents.root}: {len(contenders)} suitable series: {_listed(contenders)}; choose "
            "with --series or --series-policy",
            _rows(contents),
        )
    return _by_policy(contents, contenders, wish.policy)


def _named(contents: Contents, name: str) -> Candidate:
    def matching(value: Callable[[SeriesRow], str]) -> list[Candidate]:
        return [one for one in contents.candidates if value(one.row) == name]

    found = (
        matching(lambda row: row.label)
        or matching(lambda row: row.uid)
        or matching(lambda row: row.number)
    )
    found = [one for one in found if one.stack is not None] or found
    if not found:
        raise UnknownSeriesError(
            f"{contents.root}: no series {name!r}; there are: {_listed(contents.candidates)}",
            _rows(contents),
        )
    if len(found) > 1:
        raise SeveralSeriesError(
            f"{contents.root}: {name!r} names {len(found)} series: {_listed(found)}; give the "
            "label of one",
            _rows(contents),
        )
    if found[0].error is not None:
        raise found[0].error
    return found[0]


def _by_policy(
    contents: Contents, contenders: Sequence[Candidate], policy: SeriesPolicy
) -> tuple[Candidate, str]:
    if len({one.row.study_uid for one in contenders}) > 1:
        raise SeveralStudiesError(
            f"{contents.root}: the suitable series belong to several studies: "
            f"{_listed(contenders)}; a policy chooses within one study only, so give one study "
            "at a time, or --series",
            _rows(contents),
        )
    if policy is SeriesPolicy.THINNEST:
        least = min(one.row.spacing_mm or 0.0 for one in contenders)
        best = [one for one in contenders if (one.row.spacing_mm or 0.0) <= least + SAME_SPACING_MM]
    elif policy is SeriesPolicy.MOST_SLICES:
        most = max(one.row.slices for one in contenders)
        best = [one for one in contenders if one.row.slices == most]
    else:
        best = [one for one in contenders if one.row.contrast]
    if len(best) == 1:
        return best[0], f"of {len(contenders)} suitable series it is the one for policy {policy}"
    what = "none" if not best else f"{len(best)} equally"
    raise SeveralSeriesError(
        f"{contents.root}: of {len(contenders)} suitable series the policy {policy} fits {what}: "
        f"{_listed(best or contenders)}; choose with --series",
        _rows(contents),
    )


def _none_suitable(contents: Contents) -> IntakeError:
    """The only candidate's own refusal, or a list of all of them."""
    errors = [one.error for one in contents.candidates if one.error is not None]
    if len(errors) == 1:
        return errors[0]
    # A scout beside the one real series is no second series that someone could want.
    real = [one for one in contents.candidates if one.row.slices >= TEST_SLICES]
    if len(real) == 1 and real[0].error is not None:
        return real[0].error
    listed = "; ".join(
        f"{_words(one.row)}: {one.row.verdict}" for one in contents.candidates[:MAX_LISTED]
    )
    return NoSuitableSeriesError(
        f"{contents.root}: none of {len(errors)} series can be analysed: {listed}; "
        "rcc-onnx series tells why",
        _rows(contents),
    )


def _listed(candidates: Sequence[Candidate]) -> str:
    words = "; ".join(_words(one.row) for one in candidates[:MAX_LISTED])
    return words + ("; ..." if len(candidates) > MAX_LISTED else "")


def _words(row: SeriesRow) -> str:
    """What tells a series apart, in a few words."""
    parts = [
        row.description and f'"{row.description}"',
        f"{row.slices} slices",
        row.spacing_mm is not None and f"every {row.spacing_mm:.4g} mm over {row.extent_mm:.0f} mm",
        row.thickness_mm is not None and f"{row.thickness_mm:.4g} mm thick",
        f"contrast {row.contrast}" if row.contrast else "no contrast recorded",
        row.kernel and f"kernel {row.kernel}",
    ]
    return f"series {row.label} ({', '.join(part for part in parts if part)})"


def _rows(contents: Contents) -> tuple[SeriesRow, ...]:
    return tuple(one.row for one in contents.candidates)
