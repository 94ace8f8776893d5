"""A real PACS takes SEG and SR in, and gives them back as they were."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest

from rcc_onnx.output.exports.seg import write_seg
from rcc_onnx.output.exports.sr import write_sr
from tests.support.dicom_factory import write_series
from tests.support.drawn_studies import analysed, drawn, series_of
from tests.support.peers import missing, run_peer
from tests.support.runs import with_save

SPACING = (5.0, 2.0, 2.0)
STARTS_WITHIN_S = 30


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address and the DICOM port of a server on loopback, whose files are in a test folder."""
    if shutil.which("Orthanc") is None:
        missing("orthanc")
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with socket.socket() as http, socket.socket() as dicom:
        for free in (http, dicom):
            free.bind(("127.0.0.1", 0))
        http_port, dicom_port = http.getsockname()[1], dicom.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": http_port,
        "DicomPort": dicom_port,
        "HttpBindAddresses": ["127.0.0.1"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    log, address = folder / "log", f"http://127.0.0.1:{http_port}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")], stdout=output, stderr=output, cwd=folder
        )
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield address, str(dicom_port)
    finally:
        process.terminate()
        process.wait(30)


def answers(address: str) -> bool:
    try:
        return bool(get(f"{address}/system"))
    except OSError:
        return False


def get(url: str, query: object = None) -> bytes:
    data = None if query is None else json.dumps(query).encode()
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        return answer.read()


def file_of(address: str, sop_instance_uid: str) -> bytes:
    query = {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}
    (name,) = json.loads(get(f"{address}/tools/find", query))
    return get(f"{address}/instances/{name}/file")


def test_what_is_stored_comes_back(server: tuple[str, str], tmp_path: Path) -> None:
    address, dicom_port = server
    series = series_of(drawn(SPACING), SPACING)
    folder = write_series(tmp_path / "study", series)
    result = analysed(folder)
    seg, sr = tmp_path / "seg.dcm", tmp_path / "sr.dcm"
    write_seg(result, seg)
    write_sr(with_save(result, "seg"), sr)
    for path in (folder, seg, sr):
        # Offering only what the files need: its list of usual classes has no Segmentation.
        run_peer("storescu", "-R", "127.0.0.1", dicom_port, "+sd", path)

    for path in (seg, sr):
        sent = pydicom.dcmread(path)
        back = tmp_path / f"back_{path.name}"
        back.write_bytes(file_of(address, sent.SOPInstanceUID))
        received = pydicom.dcmread(back)
        assert received.SOPInstanceUID == sent.SOPInstanceUID
        assert received.get("PixelData") == sent.get("PixelData")
        assert received == sent
    pixels = [
        highdicom.seg.segread(path).get_volume(combine_segments=True).array
        for path in (seg, tmp_path / "back_seg.dcm")
    ]
    assert pixels[0].any()
    np.testing.assert_array_equal(*pixels)

    # One patient and one study: the results lie with the images that they were made from.
    assert len(json.loads(get(f"{address}/patients"))) == 1
    (study,) = json.loads(get(f"{address}/studies"))
    found = json.loads(get(f"{address}/studies/{study}/series?expand"))
    modalities = sorted(part["MainDicomTags"]["Modality"] for part in found)
    assert modalities == ["CT", "SEG", "SR"]
