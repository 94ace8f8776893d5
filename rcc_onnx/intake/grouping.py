"""Which files of a folder are CT slices, and of which series."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rcc_onnx.errors import NoCtError, NoDicomError, SeveralSeriesError
from rcc_onnx.intake.headers import LeftOut, SliceHeader, list_files, read_header

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
"""SOP class UIDs; those of the multi-frame secondary captures start with the last one."""


def find_slices(folder: Path) -> tuple[list[SliceHeader], list[LeftOut]]:
    """The CT slices of a folder, in no order that means anything, and every other file.

    Raises:
        FolderNotFoundError: no such folder.
        NoDicomError: no DICOM file in it.
        NoCtError: DICOM files, but none is a CT slice.
    """
    slices: list[SliceHeader] = []
    left_out: list[LeftOut] = []
    dicom_files = 0
    for path in list_files(folder):
        header = read_header(path)
        if isinstance(header, LeftOut):
            left_out.append(header)
            continue
        dicom_files += 1
        reason = why_no_slice(header)
        if reason is None:
            slices.append(header)
        else:
            left_out.append(LeftOut(header.file_name, reason))
    if not slices:
        raise _nothing_to_read(folder, dicom_files, left_out)
    return slices, left_out


def why_no_slice(header: SliceHeader) -> str | None:
    """Why a DICOM file is no CT slice, in a few words; None if it is one.

    An absent Modality is made good by the SOP class, and only by that.
    """
    sop_class = header.sop_class_uid
    modality = header.modality or ("CT" if sop_class == CT_IMAGE else "")
    reasons = {
        "DICOMDIR": sop_class == MEDIA_DIRECTORY,
        "secondary capture": sop_class.startswith(SECONDARY_CAPTURE),
        f"modality {modality or 'not given'}": modality != "CT",
        "no image": not (header.rows > 0 and header.columns > 0),
        "multi-frame image": header.frames > 1,
        "colour image": header.samples_per_pixel != 1,
        f"photometric interpretation {header.photometric_interpretation or 'not given'}": (
            header.photometric_interpretation != "MONOCHROME2"
        ),
        "localizer": "LOCALIZER" in header.image_type,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def one_series(slices: Sequence[SliceHeader]) -> list[SliceHeader]:
    """The slices, if all are of one SeriesInstanceUID.

    Raises:
        SeveralSeriesError: they are not; the message lists the series.
    """
    series: dict[str, list[SliceHeader]] = {}
    for header in slices:
        series.setdefault(header.series_uid, []).append(header)
    if len(series) > 1:
        listed = "; ".join(
            f"series {members[0].series_number or 'without number'} ({len(members)} slices, "
            f"such as {min(member.file_name for member in members)})"
            for members in series.values()
        )
        raise SeveralSeriesError(
            f"{slices[0].path.parent}: {len(series)} CT series in one folder: {listed}; put the "
            "one to be analysed into a folder of its own"
        )
    return list(slices)


def _nothing_to_read(
    folder: Path, dicom_files: int, left_out: Sequence[LeftOut]
) -> NoDicomError | NoCtError:
    counts = Counter(file.reason for file in left_out)
    listed = ", ".join(f"{count} x {reason}" for reason, count in counts.most_common())
    if dicom_files:
        return NoCtError(f"{folder}: none of its DICOM files is a CT slice ({listed})")
    return NoDicomError(
        f"{folder}: no DICOM file in it ({listed or 'no files at all'}); give the folder that "
        "holds the slices themselves, folders inside it are not searched"
    )
