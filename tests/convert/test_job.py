from pathlib import Path

from rcc_onnx.manifest import Manifest


def test_x(tiny_bundle: Path) -> None:
    assert Manifest.from_json(
        (tiny_bundle / "manifest.json").read_text()
    ).provenance.certificate.holds
