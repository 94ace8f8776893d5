"""SEG and SR are DICOM that others take: validated, read and stored by programs of others."""

import logging
import re
import warnings
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.sr import ComprehensiveSR

from rcc_onnx.output.exports.codes import INDETERMINATE, LESION, NOT_DETECTED, SUSPECTED
from rcc_onnx.output.exports.seg import write_seg
from rcc_onnx.output.exports.sr import write_sr
from rcc_onnx.results import AnalysedCase
from rcc_onnx.types import RESEARCH_ONLY, Note
from tests.support.dicom_factory import LAYOUTS, write_series
from tests.support.drawn_studies import analysed, drawn, multi_frame, series_of
from tests.support.peers import run_peer
from tests.support.runs import with_save

SPACING = (5.0, 2.0, 2.0)
GAPS_OF_THE_SOURCE = (
    "Warning - Missing attribute or value that would be needed to build DICOMDIR",
    "Warning - Value dubious for this VR - (0x0010,0x0010) PN Patient's Name",
)
"""What dciodvfy says of patient and study, which are the source's own words."""
WITH_GAPS = ("barely_a_header", "odd_header")
NOT_THEIRS = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber")


def made(folder: Path, series) -> AnalysedCase:
    return analysed(write_series(folder, series))


def with_lesion(folder: Path) -> AnalysedCase:
    return made(folder, series_of(drawn(SPACING), SPACING))


def frames_of_one_file(folder: Path) -> AnalysedCase:
    series = series_of(drawn(SPACING), SPACING, LAYOUTS[6])
    return made(folder, [multi_frame(series)])


def frames_of_two_files(folder: Path) -> AnalysedCase:
    series = series_of(drawn(SPACING), SPACING)
    files = [multi_frame(series[:17]), multi_frame(series[17:])]
    files[1].SOPInstanceUID = files[1].file_meta.MediaStorageSOPInstanceUID = "1.2.3.5"
    return made(folder, files)


def without_lesion(folder: Path) -> AnalysedCase:
    return made(folder, series_of(drawn(SPACING, lesion=False), SPACING))


def nothing_found(folder: Path) -> AnalysedCase:
    return made(folder, series_of(drawn(SPACING, lesion=False, kidneys=False), SPACING))


def barely_a_header(folder: Path) -> AnalysedCase:
    """What is left after some programs have removed a patient's identity."""
    series = series_of(drawn(SPACING), SPACING)
    for dataset in series:
        for keyword in (*NOT_THEIRS, "StudyInstanceUID", "FrameOfReferenceUID", "StudyDate"):
            del dataset[keyword]
        del dataset.StudyTime, dataset.StudyID, dataset.ReferringPhysicianName
    return made(folder, series)


def odd_header(folder: Path) -> AnalysedCase:
    """What real files hold where DICOM wants something else."""
    series = series_of(drawn(SPACING), SPACING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset in series:
            dataset.SpecificCharacterSet = "ISO_IR 100"
            dataset.PatientName, dataset.PatientSex = "Müller", "unknown"
            dataset.PatientBirthDate, dataset.StudyTime = "17 May 1950", "noon"
            dataset.PatientID = "Müller-" * 5
        return made(folder, series)


KINDS = {
    make.__name__: make
    for make in (
        with_lesion,
        frames_of_one_file,
        frames_of_two_files,
        without_lesion,
        nothing_found,
        barely_a_header,
        odd_header,
    )
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """Each kind of case, its result and its files: seg (if any), sr, and sr without the seg."""
    found = {}
    for name, make in KINDS.items():
        folder = tmp_path_factory.mktemp(name)
        result = make(folder / "study")
        files = {"sr": folder / "sr.dcm", "sr alone": folder / "alone.dcm"}
        if result.patient_images.masks:
            files["seg"] = folder / "seg.dcm"
            write_seg(result, files["seg"])
        write_sr(with_save(result, "seg"), files["sr"])
        write_sr(result, files["sr alone"])
        found[name] = result, files
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_and_dcmtk_find_no_fault(cases, kind):
    for path in cases[kind][1].values():
        lines = run_peer("dciodvfy", path).splitlines()
        assert lines.pop() in ("Segmentation", "ComprehensiveSR")
        assert [line for line in lines if not line.startswith(GAPS_OF_THE_SOURCE)] == []
        assert kind in WITH_GAPS or not lines
        assert "rcc-onnx" in run_peer("dcmdump", "-q", path)
    text = run_peer("dsrdump", "-q", cases[kind][1]["sr"])
    assert "Imaging Measurement Report" in text
    for side in ("Right", "Left"):
        assert f'"Tracking Identifier")="{side} kidney"' in text


def test_dciodvfy_would_find_something(cases, tmp_path):
    dataset = pydicom.dcmread(cases["with_lesion"][1]["seg"])
    del dataset.SegmentSequence[0].SegmentAlgorithmName
    dataset.save_as(tmp_path / "spoilt.dcm")
    with pytest.raises(AssertionError, match=r"Error - .*SegmentAlgorithmName"):
        run_peer("dciodvfy", tmp_path / "spoilt.dcm")


def test_the_sr_says_what_was_measured(cases):
    result, files = cases["with_lesion"]
    text = run_peer("dsrdump", "-q", "+Pl", files["sr"])
    kidney, lesion = result.sides["right"].kidney.measures, result.sides["right"].lesion_measures
    assert f'"Volume")="{kidney.volume_ml}" (cm3,UCUM' in text
    assert f'"Volume")="{lesion.volume_ml}" (cm3,UCUM' in text
    assert f'"Long Axis")="{lesion.longest_axial_diameter.mm}" (mm,UCUM' in text
    (row, column), (other_row, other_column) = lesion.longest_axial_diameter.ends_row_column
    line = f"{column + 0.5:g}/{row + 0.5:g},{other_column + 0.5:g}/{other_row + 0.5:g}"
    assert f"(POLYLINE,{line})" in text
    assert "Suspected lesion, right kidney" in text
    assert "Suspected lesion, left kidney" not in text
    assert RESEARCH_ONLY in text
    for word in ("carcinoma", "neoplasm", "tumor", "tumour", "cancer", "malignan"):
        assert word not in text.lower()


def groups_of(path: Path) -> dict[str, list[pydicom.Dataset]]:
    """The measurement groups of a report, as data sets, by tracking identifier."""
    report = ComprehensiveSR.from_dataset(pydicom.dcmread(path)).content
    found: dict[str, list[pydicom.Dataset]] = {}
    for group in (
        report.get_volumetric_roi_measurement_groups() + report.get_image_measurement_groups()
    ):
        found.setdefault(group.tracking_identifier, []).append(group)
    return found


def certainty_in(path: Path, side: str) -> str:
    """What a report states of a lesion in a kidney."""
    (group,) = groups_of(path)[f"{side} kidney"]
    (evaluation,) = group.get_qualitative_evaluations(name=LESION)
    return evaluation.value.value


def test_the_certainty_of_a_lesion_in_each_kidney(cases, tmp_path):
    assert certainty_in(cases["with_lesion"][1]["sr"], "Right") == SUSPECTED.value
    for side in ("Right", "Left"):
        assert certainty_in(cases["nothing_found"][1]["sr"], side) == INDETERMINATE.value
    # A side that could not be judged is not one without a lesion.
    result, _ = cases["without_lesion"]
    flag = Note("few-slices", "Only 30 slices were analysed.")
    for flags, expected in (((), NOT_DETECTED), ((flag,), INDETERMINATE)):
        sides = {
            side: replace(finding, flags=(), assessable=not flags)
            for side, finding in result.sides.items()
        }
        write_sr(replace(result, sides=sides, flags=flags), tmp_path / "sr.dcm")
        assert certainty_in(tmp_path / "sr.dcm", "Right") == expected.value
        text = run_peer("dsrdump", "-q", "+Pl", tmp_path / "sr.dcm")
        assert (f"Study: {flag.text}" in text) == bool(flags)


def test_references_lead_to_the_sources(cases):
    for kind in ("with_lesion", "frames_of_one_file", "frames_of_two_files"):
        result, files = cases[kind]
        images = result.patient_images.placement.images
        known = {image.sop_instance_uid for image in images}
        seg = highdicom.seg.segread(files["seg"])
        for frame in seg.PerFrameFunctionalGroupsSequence:
            (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
            position = frame.PlanePositionSequence[0].ImagePositionPatient
            number = reference.get("ReferencedFrameNumber")
            (image,) = (
                one
                for one in images
                if (one.sop_instance_uid, one.frame) == (reference.ReferencedSOPInstanceUID, number)
            )
            assert reference.ReferencedSOPClassUID == image.sop_class_uid
            np.testing.assert_allclose(position, image.position_mm, atol=1e-6)
        (series,) = seg.ReferencedSeriesSequence
        named = [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence]
        assert set(named) <= known
        assert len(set(named)) == len(named)

        (group,) = groups_of(files["sr"])["Right kidney"]
        referenced = group.referenced_segment[0].ReferencedSOPSequence[0]
        assert referenced.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        segment = seg.get_segment_description(referenced.ReferencedSegmentNumber)
        assert segment.tracking_uid == group.tracking_uid
        assert (
            group.referenced_segment.source_series_for_segmentation.value
            == series.SeriesInstanceUID
        )
        evidence = ComprehensiveSR.from_dataset(pydicom.dcmread(files["sr"])).get_evidence()
        assert {uid for *_, uid, _ in evidence} == known | {seg.SOPInstanceUID}


def test_without_a_seg_the_sr_refers_to_none(cases):
    result, files = cases["with_lesion"]
    seg_uid = pydicom.dcmread(files["seg"]).SOPInstanceUID
    assert seg_uid.encode() in files["sr"].read_bytes()
    assert seg_uid.encode() not in files["sr alone"].read_bytes()
    lesion = result.sides["right"].lesion_measures.longest_axial_diameter.sop_instance_uid
    assert lesion.encode() in files["sr alone"].read_bytes()


def test_segments_are_coded(cases):
    seg = highdicom.seg.segread(cases["with_lesion"][1]["seg"])
    found = [seg.get_segment_description(number) for number in seg.segment_numbers]
    assert [one.segment_label for one in found] == [
        "Right kidney",
        "Left kidney",
        "Suspected lesion, right kidney",
    ]
    assert [one.segmented_property_type.meaning for one in found] == ["Kidney", "Kidney", "Lesion"]
    sides = [
        one.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        for one in found[:2]
    ]
    region = found[2].AnatomicRegionSequence[0]
    sides.append(region.AnatomicRegionModifierSequence[0])
    assert [side.CodeMeaning for side in sides] == ["Right", "Left", "Right"]
    assert region.CodeMeaning == "Kidney"
    algorithm = found[0].algorithm_identification
    assert (algorithm.name, algorithm.version) == ("rcc-onnx, models tiny", "1.0.0")
    assert "a" * 64 in algorithm[0].AlgorithmParameters


def test_patient_and_study_are_the_sources(cases):
    _, files = cases["with_lesion"]
    for path in files.values():
        dataset = pydicom.dcmread(path)
        assert dataset.StudyInstanceUID == "1.2.3"
        assert (dataset.PatientName, dataset.PatientID) == ("Drawn^Body", "D-1")
        assert (dataset.PatientBirthDate, dataset.PatientSex) == ("19500102", "O")
        assert (dataset.StudyDate, dataset.StudyID) == ("20200304", "7")
        assert dataset.AccessionNumber == "A-1"
    assert pydicom.dcmread(files["seg"]).FrameOfReferenceUID == "1.2.3.4"


def test_what_dicom_forbids_is_empty_and_is_logged_nowhere(tmp_path, caplog, recwarn, capfd):
    caplog.set_level(logging.DEBUG)
    result = odd_header(tmp_path / "study")
    recwarn.clear()
    write_seg(result, tmp_path / "seg.dcm")
    write_sr(with_save(result, "seg"), tmp_path / "sr.dcm")
    assert not [str(one.message) for one in recwarn]
    assert "Müller" not in caplog.text + "".join(capfd.readouterr())
    for name in ("seg.dcm", "sr.dcm"):
        dataset = pydicom.dcmread(tmp_path / name)
        assert dataset.PatientName == "Müller"
        assert (dataset.PatientSex, dataset.PatientBirthDate, dataset.StudyTime) == ("", "", "")


def test_the_same_is_the_same_and_another_is_another(tmp_path):
    result = with_lesion(tmp_path / "study")

    def uids(result: AnalysedCase) -> list[set[str]]:
        write_seg(result, tmp_path / "seg.dcm")
        write_sr(with_save(result, "seg"), tmp_path / "sr.dcm")
        own = []
        for name in ("seg.dcm", "sr.dcm"):
            dataset = pydicom.dcmread(tmp_path / name)
            own.append({dataset.SOPInstanceUID, dataset.SeriesInstanceUID})
        everything = (tmp_path / "seg.dcm").read_bytes() + (tmp_path / "sr.dcm").read_bytes()
        dimensions = pydicom.dcmread(tmp_path / "seg.dcm").DimensionOrganizationSequence[0]
        own.append({dimensions.DimensionOrganizationUID})
        return [*own, set(re.findall(rb"2\.25\.\d+", everything))]

    first = uids(result)
    assert uids(with_lesion(tmp_path / "study")) == first
    stricter = replace(result, options=replace(result.options, mask_cutoff=0.6))
    patient = result.patient_images
    labels = patient.labels.copy()
    labels[tuple(np.argwhere(labels)[0])] = 0
    another = replace(result, patient_images=replace(patient, labels=labels))
    newer = replace(result, models=replace(result.models, version="1.0.1"))
    for other in (stricter, another, newer):
        changed = uids(other)
        assert not changed[0] & first[0]
        assert not changed[1] & first[1]
