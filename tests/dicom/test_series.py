"""The choice of a series: one UID that hides several stacks, several series, selections."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from rcc_onnx import errors
from rcc_onnx.dicom import SeriesSelection, read_study, series_table
from rcc_onnx.pipeline.preprocess import network_volume
from rcc_onnx.types import Profile, SeriesPolicy
from tests.support.dicom_factory import body_volume, ct_series, set_all, write_series
from tests.support.errors import raises_code
from tests.support.intake import skipped, volume, warnings

STANDARD = Profile.STANDARD
SPACING = (2.5, 2.0, 2.0)


def scout(series="1", size=(60, 40), orientation=(1, 0, 0, 0, 0, -1)):
    """A scout that does not call itself one, under the series' own UID."""
    image = ct_series(np.zeros((1, *size), np.int16), (2.5, 1.1, 0.9), series=series)[0]
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.ImageOrientationPatient = list(orientation)
    image.ImagePositionPatient = [-200, 0, 300]
    image.SOPInstanceUID = "1.2.3.4"
    return image


def dose_sheet():
    sheet = ct_series(np.zeros((1, 4, 4), np.int16), series="99")[0]
    sheet.SOPClassUID = sheet.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
    sheet.Modality = "SR"
    for keyword in ("PixelData", "Rows", "Columns", "ImagePositionPatient"):
        delattr(sheet, keyword)
    sheet.ContentSequence = [Dataset()]
    return sheet


def test_a_real_folder_is_analysed_as_the_clean_series_alone(tmp_path):
    """The issue's own words: a scout sharing the SeriesInstanceUID, a second phase, a dose sheet
    and a text file."""
    hu = body_volume((20, 90, 110))
    venous = ct_series(hu, SPACING, series="3")
    clean = volume(write_series(tmp_path / "clean", venous))
    folder = write_series(tmp_path / "real", venous, [f"v{n}" for n in range(20)])
    phase = ct_series(hu[::2, ::-1], (5.0, 2.0, 2.0), series="2")
    set_all(venous, ContrastBolusAgent="Iohexol")
    write_series(folder / "SE2", phase)
    write_series(folder, [*venous, scout("3"), dose_sheet()], [f"v{n}" for n in range(22)])
    (folder / "readme.txt").write_text("hello")
    with pytest.raises(errors.SeveralSeriesError):
        read_study(folder, STANDARD)
    for selection in (
        {"series": "3.1"},
        {"series": "3"},
        {"series": venous[0].SeriesInstanceUID},
        {"policy": SeriesPolicy.THINNEST},
        {"policy": SeriesPolicy.MOST_SLICES},
        {"policy": SeriesPolicy.CONTRAST},
    ):
        np.testing.assert_array_equal(volume(folder, **selection), clean)
    study = read_study(folder, STANDARD, SeriesSelection(series="3"))
    assert study.spacing_zyx_mm == SPACING
    reasons = skipped(study)
    assert reasons["readme.txt"] == "not a DICOM file"
    assert reasons["v21"] == "structured report"
    assert reasons["v20"] == "series 3.2, not-axial, not chosen"
    assert reasons["SE2/001.dcm"] == "series 2, suitable, not chosen"
    assert study.files_found == study.record.files_used + len(study.skipped_files)
    assert study.record.chosen.label == "3.1"


@pytest.mark.parametrize(
    "odd",
    [
        scout(),
        scout(orientation=(0, 1, 0, 0, 0, -1)),
        scout(orientation=(1, 0, 0, 0, 1, 0)),  # far above the stack
    ],
    ids=["coronal", "sagittal", "axial"],
)
def test_scout_under_the_series_uid_changes_nothing(tmp_path, odd):
    series = ct_series(body_volume(), SPACING)
    clean = volume(write_series(tmp_path / "a", series))
    folder = write_series(tmp_path / "b", [odd, *series], list("0123456"))
    np.testing.assert_array_equal(volume(folder), clean)


def test_an_odd_slice_at_the_end_of_a_stack_is_refused(tmp_path):
    series = ct_series(body_volume(), SPACING)
    series[-1].PixelSpacing = [2.0, 2.2]
    with raises_code("mixed-spacing", match=r"006\.dcm"):
        volume(write_series(tmp_path, series))


def test_two_reconstructions_under_one_uid_are_two_series(tmp_path):
    fine = ct_series(body_volume(), SPACING)
    coarse = ct_series(body_volume()[:, ::2, ::2], (2.5, 4.0, 4.0))
    folder = write_series(tmp_path, fine + coarse, [f"{n}" for n in range(12)])
    rows = series_table(folder)
    assert [row.label for row in rows] == ["1.1", "1.2"]
    assert {row.matrix for row in rows} == {(90, 110), (45, 55)}
    with pytest.raises(errors.SeveralSeriesError, match=r"1\.1 .*1\.2"):
        volume(folder)
    with pytest.raises(errors.SeveralSeriesError, match="names 2"):
        volume(folder, series="1")
    label = next(row.label for row in rows if row.matrix == (90, 110))
    clean = volume(write_series(tmp_path / "clean", fine))
    np.testing.assert_array_equal(volume(folder, series=label), clean)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("ContrastBolusAgent", ("", "Iohexol")),
        ("ImageType", (["ORIGINAL", "PRIMARY"], ["DERIVED", "PRIMARY"])),
        ("ConvolutionKernel", ("B30f", "B70f")),
    ],
)
def test_two_phases_under_one_uid(tmp_path, keyword, values):
    phases = [ct_series(body_volume(seed=seed), SPACING) for seed in (1, 2)]
    for phase, value in zip(phases, values, strict=True):
        for number, dataset in enumerate(phase):
            setattr(dataset, keyword, value)
            dataset.SOPInstanceUID = f"1.2.{id(phase)}.{number}"
    both = [*phases[0], *phases[1]]
    folder = write_series(tmp_path / "both", both, [f"{n:02}" for n in range(12)])
    assert [row.verdict for row in series_table(folder)] == ["suitable", "suitable"]
    with pytest.raises(errors.SeveralSeriesError):
        volume(folder)
    for number, phase in enumerate(phases, start=1):
        clean = volume(write_series(tmp_path / f"{number}", phase))
        np.testing.assert_array_equal(volume(folder, series=f"1.{number}"), clean)


@pytest.mark.parametrize(
    "keyword", ["AcquisitionNumber", "ContrastBolusAgent", "ConvolutionKernel"]
)
def test_two_interleaved_phases_are_two_stacks(tmp_path, keyword):
    """The one's slices lie half way between the other's: evenly spaced, and yet a mixture."""
    series = ct_series(body_volume((12, 90, 110)), SPACING)
    for index, dataset in enumerate(series):
        setattr(dataset, keyword, ("1", "2")[index % 2])
    folder = write_series(tmp_path / "both", series)
    assert [row.slices for row in series_table(folder)] == [6, 6]
    with pytest.raises(errors.SeveralSeriesError, match=r"every 5 mm.*every 5 mm"):
        read_study(folder, STANDARD)
    clean = volume(write_series(tmp_path / "clean", series[1::2]))
    np.testing.assert_array_equal(volume(folder, series="1.2"), clean)


@pytest.mark.parametrize("odd", [range(6, 12), [5], [0, 11]])
def test_a_scan_in_several_acquisitions_is_one_stack(tmp_path, odd):
    series = ct_series(body_volume((12, 90, 110)), SPACING)
    for index, dataset in enumerate(series):
        dataset.AcquisitionNumber = "2" if index in odd else "1"
    assert len(read_study(write_series(tmp_path, series), STANDARD).slices) == 12


@pytest.mark.parametrize("odd", [3, 5])
def test_a_slice_that_names_no_frame_of_reference_is_not_dropped(tmp_path, odd):
    series = ct_series(body_volume(), SPACING)
    for index, dataset in enumerate(series):
        dataset.FrameOfReferenceUID = "" if index == odd else "1.2.3"
    with raises_code("mixed-series", match=f"00{odd + 1}"):
        read_study(write_series(tmp_path, series), STANDARD)


def test_two_phases_without_a_difference_in_the_header_are_refused(tmp_path):
    both = [item for seed in (1, 2) for item in ct_series(body_volume(seed=seed), SPACING)]
    folder = write_series(tmp_path, both, [f"{n:02}" for n in range(12)])
    with pytest.raises(errors.DuplicatePositionsError, match=r"0\d and \d\d"):
        volume(folder)


@pytest.mark.parametrize("same_uid", [True, False])
def test_identical_copies_are_dropped(tmp_path, same_uid):
    series = ct_series(body_volume(), SPACING)
    clean = volume(write_series(tmp_path / "a", series))
    folder = write_series(tmp_path / "b", series)
    for number, dataset in enumerate(series):
        if not same_uid:
            dataset.SOPInstanceUID = f"1.2.3.{number}"
    write_series(folder / "copy", series[1:3])
    study = read_study(folder, STANDARD)
    assert [note.code for note in study.record.warnings if "copies" in note.code] == [
        "copies-dropped"
    ]
    assert len(study.skipped_files) == 2
    np.testing.assert_array_equal(network_volume(study).values, clean)


@pytest.mark.parametrize(("keyword", "value"), [("RescaleIntercept", -10), ("RescaleSlope", 2)])
def test_the_same_stored_values_with_another_rescale_are_not_a_copy(tmp_path, keyword, value):
    series = ct_series(body_volume(), SPACING)
    folder = write_series(tmp_path, series)
    setattr(series[2], keyword, value)
    write_series(folder / "copy", series[2:3])
    with pytest.raises(errors.DuplicatePositionsError):
        read_study(folder, STANDARD)


# --- Several series -------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path):
    """A thick series with contrast, a thin one without, a thin and longer one without."""
    hu = body_volume((20, 20, 20))
    thick = ct_series(hu[:10], (5.0, 2.0, 2.0), series="2")
    thin = ct_series(hu[:19], (2.5, 2.0, 2.0), series="10")
    long = ct_series(hu, (3.0, 2.0, 2.0), series="7")
    set_all(thick, ContrastBolusAgent="Iohexol", SeriesDescription="venous")
    for dataset in [*thick, *thin, *long]:
        dataset.StudyInstanceUID = "1.2.3"
    for name, series in (("a", thick), ("b", thin), ("c", long)):
        write_series(tmp_path / name, series)
    return tmp_path


def test_header_texts_hold_no_control_characters(tmp_path):
    series = ct_series(body_volume(), SPACING)
    set_all(
        series, ConvolutionKernel="B30\x1b[2Jf", SeriesNumber="1", SeriesDescription="a\x1b]0;b\x07"
    )
    (row,) = series_table(write_series(tmp_path, series), free_text=True)
    assert row.kernel == "B30[2Jf"
    assert row.description.isprintable()
    (row,) = series_table(tmp_path)
    assert (row.kernel, row.description) == ("B30 ?", "a 0 b")


def test_a_refusal_lists_the_differences_of_series(three):
    with pytest.raises(errors.SeveralSeriesError) as caught:
        volume(three)
    for said in ('2 ("venous", 10 slices', "contrast Iohexol", "19 slices", "every 3 mm over 57"):
        assert said in str(caught.value)
    assert [row.label for row in caught.value.series] == ["2", "7", "10"]


@pytest.mark.parametrize(
    ("policy", "slices"), [("thinnest", 19), ("most-slices", 20), ("contrast", 10)]
)
def test_policies(three, policy, slices):
    study = read_study(three, STANDARD, SeriesSelection(policy=SeriesPolicy(policy)))
    assert len(study.slices) == slices
    assert policy in study.record.chosen_because
    assert len(study.record.other_series) == 2


@pytest.mark.parametrize("series", ["10", "2", "7"])
def test_a_series_by_number(three, series):
    study = read_study(three, STANDARD, SeriesSelection(series=series))
    assert study.record.chosen.number == series


def test_no_such_series(three):
    with raises_code("unknown-series", match="'11'"):
        read_study(three, STANDARD, SeriesSelection(series="11"))


def test_a_policy_does_not_choose_between_two_that_are_equal(three):
    twin = ct_series(body_volume((20, 20, 20), 3), (3.0, 2.0, 2.0), series="8")
    set_all(twin, StudyInstanceUID="1.2.3")
    write_series(three / "d", twin)
    with pytest.raises(errors.SeveralSeriesError, match="fits 2 equally"):
        volume(three, policy=SeriesPolicy.MOST_SLICES)
    set_all(twin, ContrastBolusAgent="Iohexol")
    write_series(three / "d", twin)
    with pytest.raises(errors.SeveralSeriesError, match="fits 2 equally"):
        volume(three, policy=SeriesPolicy.CONTRAST)


def test_a_policy_does_not_choose_between_studies(three):
    other = ct_series(body_volume((30, 20, 20)), (2.0, 2.0, 2.0), series="1")
    set_all(other, StudyInstanceUID="1.2.4")
    write_series(three / "d", other)
    for policy in SeriesPolicy:
        with raises_code("several-studies"):
            volume(three, policy=policy)
    assert len(read_study(three, STANDARD, SeriesSelection(series="1")).slices) == 30


def test_a_short_series_beside_a_longer_one_is_not_chosen(tmp_path):
    write_series(tmp_path / "a", ct_series(body_volume((18, 20, 20)), series="1"))
    write_series(tmp_path / "b", ct_series(body_volume((5, 20, 20)), series="2"))
    study = read_study(tmp_path, STANDARD)
    assert study.record.chosen.label == "1"
    assert "series 2." in warnings(study)["short-series-left-out"]


def test_refused_series_beside_a_suitable_one_is_named(tmp_path):
    write_series(tmp_path / "a", ct_series(body_volume((18, 20, 20)), series="1"))
    broken = ct_series(body_volume((18, 20, 20)), series="2")
    del broken[4]
    write_series(tmp_path / "b", broken)
    study = read_study(tmp_path, STANDARD)
    assert "Series 2 was refused: missing-slices." in [note.text for note in study.record.warnings]
    with raises_code("missing-slices"):
        read_study(tmp_path, STANDARD, SeriesSelection(series="2"))
    write_series(tmp_path / "a", ct_series(body_volume((18, 20, 20)), series="1")[:-1])
    (tmp_path / "a" / "005.dcm").unlink()
    with raises_code("no-suitable-series", match="none of 2"):
        read_study(tmp_path, STANDARD)


def test_the_notebook_profile_cannot_choose_a_series(tmp_path):
    folder = write_series(tmp_path, ct_series(body_volume()))
    with pytest.raises(errors.OptionError):
        read_study(folder, Profile.NOTEBOOK, SeriesSelection(series="1"))


@pytest.mark.parametrize("other", ["patient B", None])
def test_slices_of_two_patients_are_refused(tmp_path, other):
    """Under one UID, the one's slices between the other's, they look like one fine stack."""
    series = ct_series(body_volume((20, 90, 110)), SPACING)
    for index, dataset in enumerate(series):
        dataset.PatientID = "patient A" if index % 2 == 0 else other
    with raises_code("mixed-series", match="different patients") as caught:
        read_study(write_series(tmp_path, series), STANDARD)
    assert "patient A" not in str(caught.value)


def test_slices_of_one_patient_are_a_series(tmp_path):
    series = ct_series(body_volume((20, 90, 110)), SPACING)
    set_all(series, PatientID="patient A")
    study = read_study(write_series(tmp_path, series), STANDARD)
    assert len(study.slices) == 20
    assert "patient A" not in repr(study)
