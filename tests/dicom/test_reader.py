"""Reading a study: what is made of a folder, and what is refused."""

import numpy as np
import pytest
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from rcc_onnx import errors
from rcc_onnx.dicom import read_study
from rcc_onnx.dicom.stack import slice_stride
from rcc_onnx.types import PHANTOM_MANUFACTURER, Profile
from tests.support.dicom_factory import Layout, body_volume, ct_series, set_all, write_series
from tests.support.intake import skipped, warnings

STANDARD, NOTEBOOK = Profile.STANDARD, Profile.NOTEBOOK
FLAT = np.zeros((7, 8, 10), np.int16)


@pytest.fixture
def series():
    """Seven small slices, 2.5 mm apart."""
    return ct_series(FLAT, (2.5, 0.75, 0.5))


def names_of(study):
    return [item.header.file_name for item in study.slices]


# --- What a study holds ---------------------------------------------------------------------------


def test_standard_study(tmp_path, series):
    study = read_study(write_series(tmp_path, series), STANDARD)
    assert study.spacing_zyx_mm == (2.5, 0.75, 0.5)
    assert study.stride == 2
    assert (study.files_found, study.record.files_used, study.skipped_files) == (7, 7, ())
    assert names_of(study) == [f"00{n}.dcm" for n in range(1, 8)]
    assert [item.header.file_name for item in study.needed_slices] == [
        "001.dcm",
        "003.dcm",
        "005.dcm",
        "007.dcm",
    ]
    assert study.slices[0].shape == (8, 10)


def test_spacing_and_shape_are_reoriented_with_the_array(tmp_path):
    turned = ct_series(FLAT, (2.5, 0.75, 0.5), Layout(transpose=True))
    assert (turned[0].Rows, turned[0].Columns, turned[0].PixelSpacing) == (10, 8, [0.5, 0.75])
    study = read_study(write_series(tmp_path, turned), STANDARD)
    assert study.slices[0].shape == (8, 10)
    assert study.slices[0].stored_values().shape == (8, 10)
    assert study.spacing_zyx_mm == (2.5, 0.75, 0.5)


def test_order_is_by_position_whatever_the_names(tmp_path, series):
    names = ["10", "2", "1", "0", "100", "IM.b", "IM a"]
    study = read_study(write_series(tmp_path, series, names), STANDARD)
    assert names_of(study) == names


def test_spacing_comes_from_positions_not_from_thickness(tmp_path, series):
    set_all(series, SliceThickness=5)
    study = read_study(write_series(tmp_path, series), STANDARD)
    assert (study.spacing_zyx_mm[0], study.stride) == (2.5, 2)
    set_all(series, SliceThickness=None)
    assert read_study(write_series(tmp_path, series), STANDARD).stride == 2


def test_notebook_study(tmp_path, series):
    names = ["b.dcm", "a.dcm", "c.DCM", "d", "10.dcm", "9.dcm", "e.dcm"]
    series[4].SliceThickness = 1.25  # the first by name
    study = read_study(write_series(tmp_path, series, names), NOTEBOOK)
    assert names_of(study) == ["10.dcm", "9.dcm", "a.dcm", "b.dcm", "e.dcm"]
    assert study.stride == 4
    assert list(skipped(study)) == ["c.DCM", "d"]
    assert study.files_found == 7


def test_other_files_are_left_out_with_a_reason(tmp_path, series):
    write_series(tmp_path, series)
    (tmp_path / "README.txt").write_text("about the series")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "inside").mkdir()
    spoilt = ct_series(FLAT[:5], series="2")
    spoilt[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    spoilt[1].SOPClassUID = SecondaryCaptureImageStorage
    spoilt[2].SamplesPerPixel, spoilt[2].PhotometricInterpretation = 3, "RGB"
    spoilt[3].Modality, spoilt[3].SOPClassUID = "MR", MRImageStorage
    spoilt[4].NumberOfFrames = 2
    write_series(tmp_path, spoilt, ["a", "b", "c", "d", "e"])
    study = read_study(tmp_path, STANDARD)
    assert skipped(study) == {
        "README.txt": "not a DICOM file",
        "empty": "not a DICOM file",
        "a": "localizer",
        "b": "secondary capture",
        "c": "colour image",
        "d": "modality MR",
        "e": "multi-frame image without functional groups",
    }
    assert (study.files_found, len(study.slices)) == (14, 7)
    assert study.record.files_used == 7


def test_scout_in_the_same_series_does_not_touch_the_spacing(tmp_path, series):
    scout = ct_series(FLAT[:1], (2.5, 0.9, 0.9))[0]
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    study = read_study(
        write_series(tmp_path, [scout, *series], list("0abcdefg")),
        STANDARD,
    )
    assert study.spacing_zyx_mm == (2.5, 0.75, 0.5)


def test_ct_without_modality_is_known_by_its_sop_class(tmp_path, series):
    set_all(series, Modality=None)
    assert read_study(write_series(tmp_path, series), STANDARD).record.files_used == 7


def test_a_short_series_gives_a_warning(tmp_path, series):
    (said,) = read_study(write_series(tmp_path / "short", series), STANDARD).record.warnings
    assert said.code == "short-extent"
    assert "covers 15 mm" in said.text
    long = ct_series(np.zeros((21, 4, 4), np.int16), (5.0, 1.0, 1.0))
    assert read_study(write_series(tmp_path / "long", long), STANDARD).record.warnings == ()


def test_other_warnings(tmp_path, series):
    thick = ct_series(np.zeros((20, 4, 4), np.int16), (7.5, 1.0, 1.0))
    thick[3].RescaleType = "US"
    del thick[3].PatientPosition
    del thick[4].SliceThickness
    del thick[5].Modality
    thick[6].LossyImageCompression = "01"
    said = warnings(read_study(write_series(tmp_path, thick), STANDARD))
    assert "7.50 mm apart" in said["thick-slices"]
    assert set(said) == {
        "thick-slices",
        "rescale-type",
        "no-patient-position",
        "no-slice-thickness",
        "no-modality",
        "lossy",
    }


@pytest.mark.parametrize("profile", Profile)
def test_a_phantom_only_if_every_slice_is_marked(tmp_path, series, profile):
    set_all(series, Manufacturer=PHANTOM_MANUFACTURER, QualityControlSubject="YES")
    assert read_study(write_series(tmp_path, series), profile).is_digital_phantom
    del series[6].QualityControlSubject
    assert not read_study(write_series(tmp_path, series), profile).is_digital_phantom
    series[6].QualityControlSubject = "YES"
    series[6].Manufacturer = "PHANTOM"
    assert not read_study(write_series(tmp_path, series), profile).is_digital_phantom


@pytest.mark.parametrize(
    ("spacing", "error", "stride"),
    [
        (5.0, 0, 1),
        (2.5, 0, 2),
        (2.4999, 0, 2),
        (2.49, 0, 3),
        (3.0, 0, 2),
        (0.8333, 0, 6),
        (0.8, 0, 7),
        (7.0, 0, 1),
        (2.45, 0.05, 2),
    ],
)
def test_stride(spacing, error, stride):
    assert slice_stride(spacing, error) == stride


def test_positions_in_tenths_of_a_millimetre_do_not_change_the_stride(tmp_path):
    # 22, so that the last one's rounding makes the stack shorter: 5 / 1.248 alone would be 5.
    rounded = ct_series(np.zeros((22, 4, 4), np.int16), (1.25, 1.0, 1.0))
    for dataset in rounded:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, float(f"{z:.1f}")]
    study = read_study(write_series(tmp_path, rounded), STANDARD)
    assert study.spacing_zyx_mm[0] < 1.249
    assert study.stride == 4


# --- What is refused ------------------------------------------------------------------------------


def refusal(folder, profile=STANDARD):
    """The error of a folder that cannot be read; its message names no path of the tests' machine
    beyond the folder it was given."""
    with pytest.raises(errors.IntakeError) as caught:
        read_study(folder, profile)
    assert len(str(caught.value)) > 40
    return caught.value


def without(keyword):
    return lambda series: delattr(series[4], keyword)


def changed(keyword, value, index=4):
    return lambda series: setattr(series[index], keyword, value)


def all_changed(keyword, value):
    return lambda series: set_all(series, **{keyword: value})


def turned(*cosines):
    return all_changed("ImageOrientationPatient", list(cosines))


def moved(shift, first=0):
    """Slice k, from `first` on, moved by k times the shift."""

    def spoil(series):
        for index, dataset in enumerate(series[first:], start=1):
            position = np.array(dataset.ImagePositionPatient, float)
            dataset.ImagePositionPatient = [
                round(float(p), 4) for p in position + np.multiply(shift, index)
            ]

    return spoil


def removed(*indices):
    def spoil(series):
        for index in sorted(indices, reverse=True):
            del series[index]

    return spoil


def doubled():
    """The last slice where the one before it is, with other pixels."""

    def spoil(series):
        moved([0, 0, 2.5], first=6)(series)
        series[6].PixelData = np.ones((8, 10), np.int16).tobytes()

    return spoil


REFUSALS = {
    "no position": (without("ImagePositionPatient"), "missing-attribute"),
    "no orientation": (without("ImageOrientationPatient"), "missing-attribute"),
    "no pixel spacing": (without("PixelSpacing"), "missing-attribute"),
    "no slope": (without("RescaleSlope"), "missing-attribute"),
    "no intercept": (without("RescaleIntercept"), "missing-attribute"),
    "empty slope": (changed("RescaleSlope", None), "missing-attribute"),
    "milligrams": (all_changed("RescaleType", "MGML"), "values-not-hu"),
    "slope 0": (changed("RescaleSlope", 0), "invalid-attribute"),
    "two numbers of three": (changed("ImagePositionPatient", [1, 2]), "invalid-attribute"),
    "orientation is not a unit vector": (turned(2, 0, 0, 0, 1, 0), "invalid-attribute"),
    "orientation is all zero": (turned(0, 0, 0, 0, 0, 0), "invalid-attribute"),
    "orientation is not at a right angle": (turned(1, 0, 0, 1, 0, 0), "invalid-attribute"),
    "coronal": (turned(1, 0, 0, 0, 0, -1), "not-axial"),
    "sagittal": (turned(0, 1, 0, 0, 0, -1), "not-axial"),
    "tilted": (turned(1, 0, 0, 0, 0.951057, -0.309017), "gantry-tilt"),
    "rotated in its plane": (turned(0.951057, 0.309017, 0, -0.309017, 0.951057, 0), "not-axial"),
    "sheared": (moved([0, 0.6, 0]), "sheared-series"),
    "mixed matrix": (changed("Rows", 10), "mixed-matrix"),
    "mixed pixel spacing": (changed("PixelSpacing", [0.75, 0.6]), "mixed-spacing"),
    "mixed orientation": (
        changed("ImageOrientationPatient", [-1, 0, 0, 0, -1, 0]),
        "mixed-orientation",
    ),
    "duplicate position": (doubled(), "duplicate-positions"),
    "one slice missing": (removed(3), "missing-slices"),
    "two slices missing": (removed(2, 3), "missing-slices"),
    "one of three gaps": (removed(0, 1, 2, 5), "missing-slices"),
    "uneven": (moved([0, 0, -1.0], first=6), "uneven-spacing"),
    "a little uneven": (moved([0, 0, -0.2], first=6), "uneven-spacing"),
    "almost at one place": (moved([0, 0, 2.495], first=6), "duplicate-positions"),
    "too few slices": (removed(0, 1, 2, 3, 4), "too-few-slices"),
    "too thin": (moved([0, 0, 2.35]), "spacing-out-of-range"),
    "too thick": (moved([0, 0, -9.0]), "spacing-out-of-range"),
    "pixels too small": (all_changed("PixelSpacing", [0.75, 0.05]), "spacing-out-of-range"),
    "pixels too large": (all_changed("PixelSpacing", [7.5, 0.75]), "spacing-out-of-range"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(tmp_path, series, case):
    spoil, code = REFUSALS[case]
    spoil(series)
    caught = refusal(write_series(tmp_path, series))
    assert caught.code == code


@pytest.mark.parametrize(
    ("missing", "text"),
    [([2], "002.dcm and 003.dcm: 1 slice is missing"), ([2, 3], "003.dcm: 2 slices are missing")],
)
def test_missing_slices_are_counted_and_named(tmp_path, series, missing, text):
    removed(*missing)(series)
    assert text in str(refusal(write_series(tmp_path, series)))


def test_several_series_are_listed(tmp_path, series):
    write_series(tmp_path, series)
    write_series(tmp_path, ct_series(FLAT[:3], series="12"), ["x1", "x2", "x3"])
    caught = refusal(tmp_path)
    assert type(caught) is errors.SeveralSeriesError
    assert "series 1 (7 slices, every 2.5 mm over 15 mm" in str(caught)
    assert "series 12 (3 slices" in str(caught)
    assert [row.label for row in caught.series] == ["1", "12"]


@pytest.mark.parametrize("profile", Profile)
def test_a_file_is_not_a_study(tmp_path, series, profile):
    folder = write_series(tmp_path, series)
    with pytest.raises(errors.FolderNotFoundError, match="folder"):
        read_study(folder / "001.dcm", profile)


def test_no_such_folder(tmp_path):
    for profile in Profile:
        caught = refusal(tmp_path / "nowhere", profile)
        assert type(caught) is errors.FolderNotFoundError
        assert isinstance(caught, FileNotFoundError)


def test_a_folder_without_dicom_is_refused(tmp_path):
    assert refusal(tmp_path).code == "no-dicom"
    (tmp_path / "notes.dcm").write_text("no image, whatever its name says" * 20)
    caught = refusal(tmp_path)
    assert caught.code == "no-dicom"
    assert "1 x not a DICOM file" in str(caught)


def test_a_folder_without_ct_is_refused(tmp_path, series):
    all_changed("Modality", "MR")(series)
    caught = refusal(write_series(tmp_path, series))
    assert caught.code == "no-ct"
    assert "7 x modality MR" in str(caught)


NOTEBOOK_REFUSALS = {
    "no thickness": (changed("SliceThickness", None, 0), "missing-attribute"),
    "thickness 0": (changed("SliceThickness", 0, 0), "invalid-attribute"),
    "no pixel spacing": (without("PixelSpacing"), "missing-attribute"),
    "pixel spacing 0": (changed("PixelSpacing", [0, 0]), "invalid-attribute"),
    "second pixel spacing 0": (changed("PixelSpacing", [1, 0]), "invalid-attribute"),
    "pixel spacing too large": (changed("PixelSpacing", [1e9, 1]), "spacing-out-of-range"),
    "thickness too small": (changed("SliceThickness", 1e-320, 0), "spacing-out-of-range"),
    "no slope": (without("RescaleSlope"), "missing-attribute"),
    "no intercept": (without("RescaleIntercept"), "missing-attribute"),
}


@pytest.mark.parametrize("case", NOTEBOOK_REFUSALS)
def test_notebook_refusals(tmp_path, series, case):
    spoil, code = NOTEBOOK_REFUSALS[case]
    spoil(series)
    assert refusal(write_series(tmp_path, series), NOTEBOOK).code == code


def test_notebook_takes_files_by_name_only(tmp_path, series):
    write_series(tmp_path, series, list("abcdefg"))
    assert refusal(tmp_path, NOTEBOOK).code == "no-dicom"
    (tmp_path / "z.dcm").write_text("no DICOM")
    assert refusal(tmp_path, NOTEBOOK).code == "notebook-stops"


def test_no_patient_data_in_messages(tmp_path, series):
    set_all(
        series, PatientName="Doe^Jane", PatientID="ID4711", SeriesDescription="Doe Jane abdomen"
    )
    removed(3)(series)
    message = str(refusal(write_series(tmp_path, series)))
    assert "Doe" not in message
    assert "ID4711" not in message


def test_body_volume_is_not_symmetric():
    """Else the tests of orientation could not fail."""
    volume = body_volume()
    for axis in range(3):
        assert (volume != np.flip(volume, axis)).any()
