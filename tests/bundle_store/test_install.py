"""Installing, replacing, removing and exporting, as a user does it and when it goes wrong."""

import errno
import hashlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner, Result

from rcc_onnx.bundle_store import install
from rcc_onnx.bundle_store.install import BundleStore, install_bundle
from rcc_onnx.bundles import bundle as bundles
from rcc_onnx.bundles.bundle import find_bundle, load_bundle
from rcc_onnx.cli.app import app
from rcc_onnx.errors import DataFolderError
from rcc_onnx.system.files import try_lock
from tests.support.bundle_zips import Member, member, zip_of
from tests.support.reference_outputs import bundle_with_reference_outputs
from tests.support.tiny_networks import add_variant, tiny_model, write_bundle

needs_links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and no shipped bundles."""
    home = tmp_path / "home"
    monkeypatch.setenv("RCC_ONNX_HOME", str(home))
    monkeypatch.setattr(bundles, "shipped_models_folder", lambda: None)
    return home


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "one")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "two", version="2.0.0")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["models", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.exit_code == code, result.output
    return result


def version(name: str = "tiny") -> str:
    """Return that of the bundle that the engine would take by this name, once it is checked."""
    bundle = find_bundle(name)
    bundle.check()
    return bundle.manifest.version


def leftovers(home: Path) -> list[Path]:
    return [path for name in ("incoming", "replaced") for path in (home / name).iterdir()]


# --- Installing ----------------------------------------------------------------------------------


def test_install_show_remove(home: Path, one: Path) -> None:
    output = run("install", one).output
    assert f"tiny 1.0.0 is installed in {home / 'models' / 'tiny'}" in output
    assert "--models tiny" in output
    assert version() == "1.0.0"
    assert "tiny" in run("list").output
    assert str(home / "models") in "".join(run("list").output.split())
    assert leftovers(home) == []
    run("remove", "tiny")
    assert list((home / "models").iterdir()) == []
    assert leftovers(home) == []
    assert "[unknown-bundle]" in run("remove", "tiny", code=2).output


def test_the_same_again_changes_nothing(home: Path, one: Path) -> None:
    run("install", one)
    before = (home / "models" / "tiny").stat().st_mtime_ns
    for options in ((), ("--replace",)):
        assert "was installed already" in run("install", one, *options).output
    assert (home / "models" / "tiny").stat().st_mtime_ns == before


def test_another_of_the_same_name_only_with_replace(home: Path, one: Path, two: Path) -> None:
    run("install", one)
    output = run("install", two, code=2).output
    assert "[bundle-installed]" in output
    assert "installed (1.0.0)" in output
    assert "--replace to put this one (2.0.0)" in output
    assert version() == "1.0.0"
    assert "in place of 1.0.0" in run("install", two, "--replace").output
    assert version() == "2.0.0"
    assert leftovers(home) == []


def test_a_damaged_installed_bundle_is_replaced_by_itself(home: Path, one: Path) -> None:
    run("install", one)
    (home / "models" / "tiny" / "lesion.onnx").write_bytes(b"")
    assert "[bundle-installed]" in run("install", one, code=2).output
    run("install", one, "--replace")
    assert version() == "1.0.0"
    (home / "models" / "tiny" / "manifest.json").unlink()
    assert "move it away" in run("install", one, "--replace", code=2).output


def test_only_the_files_of_the_bundle_are_copied(home: Path, tmp_path: Path) -> None:
    source = bundle_with_reference_outputs(tmp_path / "one")
    add_variant(source, "lesion", "cpu", tiny_model("lesion").SerializeToString())
    (source / "MODEL_CARD.md").write_text("card")
    (source / "LICENSE").write_text("licence")
    expected = {path.name: path.read_bytes() for path in source.iterdir()}
    (source / ".DS_Store").write_text("")
    (source / "notes").mkdir()
    assert "'.DS_Store', 'notes'" in run("install", source).output
    installed = {path.name: path.read_bytes() for path in (home / "models" / "tiny").iterdir()}
    assert installed == expected


@needs_links
def test_links_inside_a_folder_become_files(home: Path, one: Path) -> None:
    (one / "kidney.onnx").rename(one / "v1.onnx")
    (one / "kidney.onnx").symlink_to("v1.onnx")
    run("install", one)
    assert not (home / "models" / "tiny" / "kidney.onnx").is_symlink()
    assert version() == "1.0.0"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_other_users_may_read_what_umask_lets_them(home: Path, one: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run("install", one)
        run("export", one, tmp_path / "x.zip")
    finally:
        os.umask(before)
    assert (home / "models" / "tiny").stat().st_mode & 0o777 == 0o755
    assert (home / "models" / "tiny" / "kidney.onnx").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "x.zip").stat().st_mode & 0o777 == 0o644


def test_a_folder_in_the_way_is_left_alone(home: Path, one: Path) -> None:
    (home / "models" / "tiny").mkdir(parents=True)
    (home / "models" / "tiny" / "mine.txt").write_text("mine")
    assert "move it away by hand" in run("install", one, "--replace", code=2).output
    assert (home / "models" / "tiny" / "mine.txt").read_text() == "mine"
    assert leftovers(home) == []


def test_a_bundle_copied_there_by_hand_is_replaced_and_removed_too(
    home: Path, one: Path, two: Path
) -> None:
    (home / "models").mkdir(parents=True)
    one.rename(home / "models" / "by-hand")
    run("install", two, "--replace")
    assert [path.name for path in (home / "models").iterdir()] == ["tiny"]
    assert version() == "2.0.0"
    (home / "models" / "tiny").rename(home / "models" / "by-hand")
    run("remove", "tiny")
    assert list((home / "models").iterdir()) == []


def test_bundles_that_hide_one_another_are_reported(
    home: Path, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    write_bundle(shelf / "mine", version="3.0.0")
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(shelf))
    assert f"note: {shelf / 'mine'} is used for the name tiny" in run("install", one).output
    assert "it hides" in run("list").output
    assert version() == "3.0.0"
    run("remove", "tiny")
    assert "[bundle-not-removable]" in run("remove", "tiny", code=2).output
    assert (shelf / "mine").is_dir()


def test_names_of_shipped_bundles(home: Path, tmp_path: Path) -> None:
    assert {"phantom"} == bundles.SHIPPED_NAMES
    output = run("install", write_bundle(tmp_path / "x", name="phantom"), code=2).output
    assert "[bundle-name-taken]" in output
    assert not (home / "models" / "phantom").exists()


# --- What is refused changes nothing -------------------------------------------------------------


def _not_finite() -> bytes:
    model = tiny_model()
    weights = model.graph.initializer[0]
    shape = numpy_helper.to_array(weights).shape
    weights.CopyFrom(numpy_helper.from_array(np.full(shape, np.nan, np.float32), weights.name))
    return model.SerializeToString()


def _half_copied(folder: Path) -> Path:
    write_bundle(folder, version="2.0.0")
    network = folder / "lesion.onnx"
    network.write_bytes(network.read_bytes()[:-20])
    return folder


def _zipped(folder: Path, *more: Member) -> Path:
    write_bundle(folder, version="2.0.0")
    files = [(path.name, path.read_bytes()) for path in folder.iterdir()]
    folder.with_suffix(".zip").write_bytes(zip_of([*files, *more]))
    return folder.with_suffix(".zip")


LINK = (member("NOTICE", stat.S_IFLNK | 0o777), b"/etc/passwd")
NO_OPERATOR = tiny_model(last="Sygmoid").SerializeToString()
REFUSED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "weights that are not finite": (
        lambda folder: write_bundle(folder, {"kidney": _not_finite()}),
        "",
        "network-output",
    ),
    "operator that does not exist": (
        lambda folder: write_bundle(folder, {"kidney": NO_OPERATOR}),
        "",
        "network-load",
    ),
    "other reference outputs": (
        lambda folder: bundle_with_reference_outputs(folder, off_by=0.01),
        "",
        "provider-disagrees",
    ),
    "half copied": (_half_copied, "", "bundle-hash"),
    "evil name": (lambda folder: _zipped(folder, ("../x", b"evil")), "", "bundle-archive-name"),
    "link": (lambda folder: _zipped(folder, LINK), "", "bundle-archive-member"),
    "other hash": (write_bundle, "ab" * 32, "bundle-sha256"),
    "other hash of a zip file": (_zipped, "ab" * 32, "bundle-sha256"),
    "hash cut short": (_zipped, "ab" * 31, "option"),
    "hash in other digits": (_zipped, "\u0661" * 64, "option"),
    "folder that is not a bundle": (lambda folder: folder.parent, "", "bundle-folder"),
    "missing": (lambda folder: folder, "", "bundle-source"),
    "empty path": (lambda _: "", "", "bundle-source"),
    "long path": (lambda _: "n" * 5000, "", "bundle-source"),
    "URL": (lambda _: "https://models.example.org/tiny.zip", "", "bundle-source"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_changes_nothing_anywhere(
    kind: str, home: Path, one: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("install", one)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(one)  # an empty path must not mean the bundle that lies here
    make, sha256, code = REFUSED[kind]
    source = make(tmp_path / "work" / "tiny")
    options = ["--sha256", sha256] if sha256 else []

    def listing() -> dict[Path, object]:
        return {
            path: (path.lstat().st_mode, path.is_file() and path.read_bytes())
            for path in tmp_path.rglob("*")
        }

    before = listing()
    output = run("install", source, "--replace", *options, code=2).output
    assert f"error [{code}]: " in output
    assert "no installed bundle was changed" in output
    assert listing() == before
    assert version() == "1.0.0"


# --- When it goes wrong --------------------------------------------------------------------------


def test_two_at_once(home: Path, one: Path, two: Path) -> None:
    run("install", one)
    with try_lock(home / "lock"):
        for command in (("install", two), ("remove", "tiny")):
            output = run(*command, code=2).output
            assert "[install-running]" in output
            assert "no installed bundle was changed" in output
        assert version() == "1.0.0"


def test_disk_full(home: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("install", one)

    def half(path: Path, _: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(install, "write_whole", half)
    output = run("install", two, "--replace", code=2).output
    assert "[data-folder]" in output
    assert "No space left on device" in output
    assert version() == "1.0.0"
    assert leftovers(home) == []


def test_data_folder_that_cannot_be(
    tmp_path: Path, one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    for named in (tmp_path / "file", tmp_path / "file" / "below", "relative"):
        monkeypatch.setenv("RCC_ONNX_HOME", str(named))
        assert "[data-folder]" in run("install", one, code=2).output
    assert (tmp_path / "file").read_text() == "mine"
    monkeypatch.setattr(install, "data_folder", lambda: None)
    with pytest.raises(DataFolderError, match="set RCC_ONNX_HOME"):
        BundleStore.of_user()


@pytest.mark.parametrize("error", [PermissionError(13, "in use"), KeyboardInterrupt()])
def test_the_old_one_comes_back_when_the_new_one_cannot_be_moved_in(
    home: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    run("install", one)
    rename = Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path.parent.name == "incoming":
            raise error
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    code = 130 if isinstance(error, KeyboardInterrupt) else 2
    output = run("install", two, "--replace", code=code).output
    assert "no installed bundle was changed" in output
    assert version() == "1.0.0"
    assert leftovers(home) == []


def test_interrupted_while_it_is_verified(
    home: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(bundle: object) -> None:
        raise KeyboardInterrupt

    run("install", one)
    monkeypatch.setattr(install, "verify_bundle", ctrl_c)
    assert "interrupted" in run("install", two, "--replace", code=130).output
    assert version() == "1.0.0"
    assert leftovers(home) == []


def test_what_a_crash_left_is_found_and_recovered(home: Path, one: Path, tmp_path: Path) -> None:
    """A crash between the two renames of a replacement, and one while something was unpacked."""
    run("install", one)
    (home / "models" / "tiny").rename(home / "replaced" / "tiny")
    (home / "incoming" / "tmp1").mkdir()
    (home / "incoming" / "tmp1" / "half").write_bytes(b"x")
    assert version() == "1.0.0", "found before anything is recovered"
    run("install", write_bundle(tmp_path / "other", name="other"))
    assert (home / "models" / "tiny").is_dir()
    assert leftovers(home) == []


def test_what_a_crash_left_behind_the_new_one_is_cleared(home: Path, two: Path) -> None:
    run("install", two)
    write_bundle(home / "replaced" / "tiny")
    assert version() == "2.0.0"
    run("remove", "tiny")
    assert "[unknown-bundle]" in run("show", "tiny", code=2).output


FLIP = """
import sys
from pathlib import Path
from rcc_onnx.bundle_store import install
install.verify_bundle = lambda bundle: None
print("ready", flush=True)
while True:
    for source in sys.argv[2:]:
        install.install_bundle(source, install.BundleStore(Path(sys.argv[1])), replace=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="NOT TESTED HERE: SIGKILL")
def test_killed_at_random_moments(home: Path, one: Path, two: Path) -> None:
    run("install", one)
    chance = random.Random(0)
    for _ in range(6):
        command = [sys.executable, "-c", FLIP, str(home), str(one), str(two)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as busy:
            assert busy.stdout is not None
            assert busy.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0.02, 0.1))
            assert busy.poll() is None
            busy.send_signal(signal.SIGKILL)
        assert version() in {"1.0.0", "2.0.0"}
    run("install", two, "--replace")
    assert version() == "2.0.0"
    assert leftovers(home) == []


# --- Removing ------------------------------------------------------------------------------------


@needs_links
def test_removing_a_link_leaves_what_it_leads_to(home: Path, one: Path) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / "tiny").symlink_to(one, target_is_directory=True)
    run("remove", "tiny")
    assert not os.path.lexists(home / "models" / "tiny")
    assert leftovers(home) == []
    load_bundle(one).check()


def test_removing_what_is_broken(home: Path) -> None:
    (home / "models" / "odd").mkdir(parents=True)
    (home / "models" / "odd" / "manifest.json").write_text("{}")
    run("remove", "odd")
    assert list((home / "models").iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../home", "tiny/", "tiny\\", "TINY", "*"])
def test_names_that_remove_nothing(home: Path, one: Path, name: str) -> None:
    run("install", one)
    assert "[unknown-bundle]" in run("remove", name, code=2).output
    assert version() == "1.0.0"


# --- Exporting and verifying ---------------------------------------------------------------------


def test_export_install_export(home: Path, one: Path, tmp_path: Path) -> None:
    (one / "MODEL_CARD.md").write_text("card")
    (one / "notes.txt").write_text("not exported")
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    output = run("export", one, first).output
    sha256 = hashlib.sha256(first.read_bytes()).hexdigest()
    assert sha256 in output
    os.utime(one / "kidney.onnx", (0, 0))
    run("install", first, "--sha256", f" {sha256.upper()}\n")
    run("export", "tiny", second)
    assert second.read_bytes() == first.read_bytes()
    assert sha256 in run("verify", "tiny").output
    run("remove", "tiny")
    run("install", one, "--sha256", sha256)


def test_export_over_something(home: Path, one: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.zip"
    target.write_text("mine")
    output = run("export", one, target, code=2).output
    assert "[bundle-export]" in output
    assert "--overwrite" in output
    assert target.read_text() == "mine"
    run("export", one, target, "--overwrite")
    run("install", target)
    for place in (tmp_path, tmp_path / "none" / "x.zip", tmp_path / ("n" * 300)):
        assert "[bundle-export]" in run("export", one, place, "--overwrite", code=2).output
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_broken_bundle_is_not_exported(home: Path, one: Path, tmp_path: Path) -> None:
    (one / "lesion.onnx").write_bytes(b"")
    assert "[bundle-hash]" in run("export", one, tmp_path / "x.zip", code=2).output
    assert not (tmp_path / "x.zip").exists()


def test_verify_all(home: Path, one: Path, tmp_path: Path) -> None:
    assert run("verify").output == ""
    run("install", one)
    run("install", bundle_with_reference_outputs(tmp_path / "x", name="second"))
    output = run("verify").output
    assert "tiny 1.0.0: hashes" in output
    assert "no reference outputs" in output
    assert "second 1.0.0: hashes" in output
    assert "as the reference outputs, within" in output
    (home / "models" / "second" / "kidney.onnx").write_bytes(tiny_model(seed=5).SerializeToString())
    output = run("verify", code=1).output
    assert "tiny 1.0.0: hashes" in output
    assert "[bundle-hash]" in output
    (home / "models" / "second" / "kidney.onnx").unlink()
    assert "[bundle-file]" in run("verify", code=1).output


def test_show_prints_the_manifest(home: Path, one: Path) -> None:
    shown = json.loads(run("show", one, "--json").output)
    assert shown == json.loads((one / "manifest.json").read_text())
    assert "made by hand, nothing is certified" in run("show", one).output


def test_python_users_get_the_bundle(home: Path, one: Path) -> None:
    done = install_bundle(str(one), BundleStore(home))
    assert done.bundle.folder == home / "models" / "tiny"
    assert done.replaced is None
    assert install_bundle(str(one), BundleStore(home)).already
