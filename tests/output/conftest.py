import pytest

from rcc_onnx.results import AnalysedCase
from tests.support.positioned_cases import placed_case


@pytest.fixture(scope="session")
def placed(tmp_path_factory: pytest.TempPathFactory) -> AnalysedCase:
    """A suspected lesion in the right kidney of a study, at its place in the patient."""
    return placed_case(tmp_path_factory.mktemp("placed") / "case")
