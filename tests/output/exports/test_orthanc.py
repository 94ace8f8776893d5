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


class Orthanc:
    """A server on loopback, whose files lie in a folder of the test's."""

    def __init__(self, http_port: int, dicom_port: int) -> None:
        self.http_port = http_port
        self.dicom_port = dicom_port

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/{path}", timeout=10) as got:
            return got.read()

    def file_of(self, sop_instance_uid: str) -> bytes:
        query = json.dumps(
            {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}}
        ).encode()
        url = f"http://127.0.0.1:{self.http_port}/tools/find"
        with urllib.request.urlopen(url, query, timeout=10) as found:
            (name,) = json.load(found)
        return self.get(f"instances/{name}/file")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if shutil.which("Orthanc") is None:
        missing("orthanc")
    folder = tmp_path_factory.mktemp("orthanc")
    http_port, dicom_port = free_ports(2)
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
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log, cwd=folder
        )
    started = Orthanc(http_port, dicom_port)
    try:
        wait_for(started, server, folder / "log")
        yield started
    finally:
        server.terminate()
        server.wait(30)


def wait_for(orthanc: Orthanc, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            orthanc.get("system")
            return
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)


def test_what_is_stored_comes_back(orthanc: Orthanc, tmp_path: Path) -> None:
    series = series_of(drawn(SPACING), SPACING)
    folder = write_series(tmp_path / "study", series)
    result = analysed(folder)
    seg, sr = tmp_path / "seg.dcm", tmp_path / "sr.dcm"
    write_seg(result, seg)
    write_sr(with_save(result, "seg"), sr)
    for path in (folder, seg, sr):
        # Offering only what the files need: its list of usual classes has no Segmentation.
        run_peer("storescu", "-R", "127.0.0.1", str(orthanc.dicom_port), "+sd", path)

    for path in (seg, sr):
        sent = pydicom.dcmread(path)
        back = tmp_path / f"back_{path.name}"
        back.write_bytes(orthanc.file_of(sent.SOPInstanceUID))
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
    assert len(json.loads(orthanc.get("patients"))) == 1
    (study,) = json.loads(orthanc.get("studies"))
    found = json.loads(orthanc.get(f"studies/{study}/series?expand"))
    modalities = sorted(one["MainDicomTags"]["Modality"] for one in found)
    assert modalities == ["CT", "SEG", "SR"]
