"""The folder appears complete or not at all."""

from pathlib import Path

import pytest

from convert import bundle
from convert.bundle import check_target, write_folder
from convert.errors import OutputError, OutputExistsError
from rcc_onnx.errors import BundleError
from rcc_onnx.types import NETWORK_NAMES
from tests.support.fixtures_convert import contents


@pytest.fixture(name="files")
def fixture_files(tiny_bundle: Path) -> dict[str, bytes]:
    return contents(tiny_bundle)


def test_a_bundle_or_an_empty_folder_is_replaced_on_request_only(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    new, old, empty = (tmp_path / "models" / name for name in ("new", "old", "empty"))
    write_folder(new, files, overwrite=False)
    write_folder(old, files | {"MODEL_CARD.md": b"old"}, overwrite=False)
    empty.mkdir()
    for out in (old, empty):
        before = contents(out)
        with pytest.raises(OutputExistsError, match="--overwrite") as raised:
            write_folder(out, files, overwrite=False)
        assert raised.value.code == "convert-out-exists"
        assert contents(out) == before
        write_folder(out, files, overwrite=True)
    assert contents(new) == contents(old) == contents(empty) == files
    assert {path.name for path in new.parent.iterdir()} == {"new", "old", "empty"}


def test_anything_else_is_never_replaced(tmp_path: Path) -> None:
    folder, file, link = tmp_path / "folder", tmp_path / "file", tmp_path / "link"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    file.write_text("x")
    link.symlink_to(folder)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    for out in (folder, file, link, dangling):
        with pytest.raises(OutputExistsError, match="not replaced"):
            check_target(out, overwrite=True)


def test_a_place_that_no_folder_can_be_made_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as raised:
        check_target(tmp_path / "file" / "deep" / "out", overwrite=False)
    assert raised.value.code == "convert-out"


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_while_writing_leaves_everything_as_it_was(
    tmp_path: Path,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    problem: BaseException,
    existing: bool,
) -> None:
    out = tmp_path / "b"
    if existing:
        write_folder(out, files, overwrite=False)
    written = []
    plain = Path.write_bytes

    def failing(path: Path, data: bytes) -> int:
        written.append(path.name)
        if len(written) == 3:
            raise problem
        return plain(path, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    expected = OutputError if isinstance(problem, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_folder(out, files, overwrite=True)
    assert len(written) == 3
    assert [path.name for path in tmp_path.iterdir()] == (["b"] if existing else [])
    if existing:
        assert contents(out) == files


def test_a_failure_of_the_last_step_brings_the_old_bundle_back(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "b"
    write_folder(out, files, overwrite=False)
    plain = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == "new":
            raise OSError(13, "Permission denied")
        return plain(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Permission denied"):
        write_folder(out, files, overwrite=True)
    assert contents(out) == files
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_bundle_that_the_engine_would_refuse_never_appears(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    out = tmp_path / "b"
    with pytest.raises(BundleError):
        write_folder(out, files | {"kidney.onnx": b"changed"}, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_the_names_that_may_be_replaced_are_those_that_are_written(tiny_bundle: Path) -> None:
    written = {path.name for path in tiny_bundle.iterdir()}
    assert written <= bundle.BUNDLE_FILES
    # Quantizing writes these later.
    others = bundle.BUNDLE_FILES - written - {"kidney.cpu.onnx"}
    assert others == {
        f"{network}.{variant}.onnx" for network in NETWORK_NAMES for variant in ("int8", "float16")
    }
