from pathlib import Path

import pytest

from rcc_onnx.errors import InputFolderError
from rcc_onnx.output.document import MAX_NAME_BYTES, check_case_name
from tests.support.errors import raises_code


@pytest.mark.parametrize("name", ["con", "NUL.txt", "Com1", "lpt9.a.b"])
def test_names_of_devices_are_refused_on_windows(name: str) -> None:
    with raises_code("reserved-name", match="device"):
        check_case_name(name, Path("in"), "win32")
    check_case_name(name, Path("in"), "linux")


@pytest.mark.parametrize("name", ["a\\b", "..\\x", "c:x"])
def test_names_that_lead_elsewhere_on_windows_are_refused_there(name: str) -> None:
    with pytest.raises(InputFolderError, match="named after"):
        check_case_name(name, Path("in"), "win32")
    check_case_name(name, Path("in"), "linux")


@pytest.mark.parametrize("name", ["console", "com", "com10", "null", "a.con"])
def test_names_like_those_of_devices_are_names(name: str) -> None:
    check_case_name(name, Path("in"), "win32")


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(InputFolderError, match="named after"):
        check_case_name(name, Path("in"), "linux")


def test_names_that_are_too_long_are_refused() -> None:
    check_case_name("ä" * (MAX_NAME_BYTES // 2), Path("in"))
    with pytest.raises(InputFolderError, match="too long"):
        check_case_name("ä" * (MAX_NAME_BYTES // 2) + "a", Path("in"))


@pytest.mark.parametrize("name", ["results", "RESULTS"])
def test_the_runs_own_name_is_refused(name: str) -> None:
    with raises_code("reserved-name", match="whole run"):
        check_case_name(name, Path("in"))
