"""Installing, replacing, removing and exporting, as a user does it and when it goes wrong."""

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rcc_onnx.bundle_store import archive, install, store
from rcc_onnx.bundle_store.archive import bundle_zip
from rcc_onnx.bundle_store.content import Content
from rcc_onnx.bundle_store.install import install_bundle
from rcc_onnx.bundle_store.store import Store, user_store
from rcc_onnx.bundles import bundle as bundles
from rcc_onnx.bundles.bundle import find_bundle, load_bundle
from rcc_onnx.cli.app import app
from rcc_onnx.errors import DataFolderError
from rcc_onnx.system.files import try_lock
from tests.support.bundle_zips import bundle_files
from tests.support.errors import raises_code
from tests.support.loopback import Handler, Site, serving
from tests.support.tiny_networks import tiny_model, write_bundle

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
    """Of the bundle that the engine would take by this name, once it is checked."""
    bundle = find_bundle(name)
    bundle.check()
    return bundle.manifest.version


def leftovers(home: Path) -> list[Path]:
    return [
        path for name in ("incoming", "replaced", "downloads") for path in (home / name).iterdir()
    ]


# --- Installing ----------------------------------------------------------------------------------


def test_install_show_remove(home: Path, one: Path) -> None:
    said = run("install", one).output
    assert f"tiny 1.0.0 is installed in {home / 'models' / 'tiny'}" in said
    assert "--models tiny" in said
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
    said = run("install", two, code=2).output
    assert "[bundle-installed]" in said
    assert "installed (1.0.0)" in said
    assert "--replace to put this one (2.0.0)" in said
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


def test_only_the_files_of_the_bundle_are_copied(home: Path, one: Path) -> None:
    (one / "MODEL_CARD.md").write_text("card")
    (one / "LICENSE").write_text("licence")
    (one / ".DS_Store").write_text("")
    (one / "notes").mkdir()
    said = run("install", one).output
    assert "'.DS_Store', 'notes'" in said
    installed = {path.name for path in (home / "models" / "tiny").iterdir()}
    assert installed == {"MODEL_CARD.md", "LICENSE", "manifest.json", "kidney.onnx", "lesion.onnx"}


@needs_links
def test_links_inside_a_folder_become_files(home: Path, one: Path) -> None:
    (one / "kidney.onnx").rename(one / "v1.onnx")
    (one / "kidney.onnx").symlink_to("v1.onnx")
    run("install", one)
    assert not (home / "models" / "tiny" / "kidney.onnx").is_symlink()
    assert version() == "1.0.0"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_other_users_may_read_what_umask_lets_them(home: Path, one: Path) -> None:
    before = os.umask(0o022)
    try:
        run("install", one)
    finally:
        os.umask(before)
    assert (home / "models" / "tiny").stat().st_mode & 0o777 == 0o755
    assert (home / "models" / "tiny" / "kidney.onnx").stat().st_mode & 0o777 == 0o644


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


def test_clashes_of_names_are_told(
    home: Path, one: Path, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "shelf"
    write_bundle(shelf / "mine", version="3.0.0")
    monkeypatch.setenv("RCC_ONNX_MODELS_FOLDER", str(shelf))
    said = run("install", one).output
    assert f"note: {shelf / 'mine'} is used for the name tiny" in said
    assert "it hides" in run("list").output
    assert version() == "3.0.0"
    run("remove", "tiny")
    refused = run("remove", "tiny", code=2).output
    assert "[bundle-not-removable]" in refused
    assert (shelf / "mine").is_dir()


def test_names_of_shipped_bundles(home: Path, tmp_path: Path) -> None:
    assert {"phantom"} == bundles.SHIPPED_NAMES
    said = run("install", write_bundle(tmp_path / "x", name="phantom"), code=2).output
    assert "[bundle-name-taken]" in said
    assert not (home / "models" / "phantom").exists()


# --- When it goes wrong --------------------------------------------------------------------------


def test_two_at_once(home: Path, one: Path) -> None:
    run("install", one)
    with try_lock(home / "lock"):
        for command in (("install", one), ("remove", "tiny")):
            said = run(*command, code=2).output
            assert "[install-running]" in said
            assert "no installed bundle was changed" in said
        assert version() == "1.0.0"


def test_disk_full(home: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("install", one)

    def half(content: Content, folder: Path) -> None:
        (folder / "manifest.json").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Content, "write", half)
    said = run("install", two, "--replace", code=2).output
    assert "[data-folder]" in said
    assert "No space left on device" in said
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
    monkeypatch.setattr(store, "data_folder", lambda: None)
    with pytest.raises(DataFolderError, match="set RCC_ONNX_HOME"):
        user_store()


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
    said = run("install", two, "--replace", code=code).output
    assert "no installed bundle was changed" in said
    assert version() == "1.0.0"
    assert leftovers(home) == []


def test_interrupted_while_it_is_tried(
    home: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(bundle: object) -> None:
        raise KeyboardInterrupt

    run("install", one)
    monkeypatch.setattr(install, "verify_bundle", ctrl_c)
    assert "interrupted" in run("install", two, "--replace", code=130).output
    assert version() == "1.0.0"
    assert leftovers(home) == []


def test_what_a_crash_left_is_found_and_mended(home: Path, one: Path, tmp_path: Path) -> None:
    """A crash between the two renames of a replacement, and one while something was unpacked."""
    run("install", one)
    (home / "models" / "tiny").rename(home / "replaced" / "tiny")
    (home / "incoming" / "tmp1").mkdir()
    (home / "incoming" / "tmp1" / "half").write_bytes(b"x")
    assert version() == "1.0.0", "found before anything is mended"
    run("install", write_bundle(tmp_path / "other", name="other"))
    assert (home / "models" / "tiny").is_dir()
    assert leftovers(home) == []


def test_what_a_crash_left_behind_the_new_one_is_cleared(home: Path, one: Path, two: Path) -> None:
    run("install", two)
    write_bundle(home / "replaced" / "tiny")
    assert version() == "2.0.0"
    run("remove", "tiny")
    assert "[unknown-bundle]" in run("show", "tiny", code=2).output


FLIP = """
import sys
from pathlib import Path
from rcc_onnx.bundle_store import install
from rcc_onnx.bundle_store.store import Store
install.verify_bundle = lambda bundle: None
print("ready", flush=True)
while True:
    for source in sys.argv[2:]:
        install.install_bundle(source, Store(Path(sys.argv[1])), replace=True)
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


# --- Exporting -----------------------------------------------------------------------------------


def test_the_same_bytes_on_every_machine() -> None:
    """The hash is part of what users write down, so no release may change it."""
    data = bundle_zip("tiny", {"manifest.json": b"{}", "a.onnx": bytes(300), "NOTICE": b"x"})
    assert (
        hashlib.sha256(data).hexdigest()
        == "b6ba0f2e257dd5eef3850b6a06f39193bca412135cb94fbc87f53968ef477d1e"
    )


def test_export_install_export(home: Path, one: Path, tmp_path: Path) -> None:
    (one / "MODEL_CARD.md").write_text("card")
    (one / "notes.txt").write_text("not exported")
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    said = run("export", one, first).output
    sha256 = hashlib.sha256(first.read_bytes()).hexdigest()
    assert sha256 in said
    os.utime(one / "kidney.onnx", (0, 0))
    run("install", first, "--sha256", sha256.upper())
    run("export", "tiny", second)
    assert second.read_bytes() == first.read_bytes()
    assert sha256 in run("verify", "tiny").output
    run("remove", "tiny")
    run("install", one, "--sha256", sha256)
    assert "[bundle-sha256]" in run("install", one, "--sha256", "ab" * 32, code=2).output


def test_export_over_something(home: Path, one: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.zip"
    target.write_text("mine")
    said = run("export", one, target, code=2).output
    assert "[bundle-export]" in said
    assert "--overwrite" in said
    assert target.read_text() == "mine"
    run("export", one, target, "--overwrite")
    run("install", target)
    for place in (tmp_path, tmp_path / "none" / "x.zip", tmp_path / ("n" * 300)):
        said = run("export", one, place, "--overwrite", code=2).output
        assert "[bundle-export]" in said
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_broken_bundle_is_not_exported(home: Path, one: Path, tmp_path: Path) -> None:
    (one / "lesion.onnx").write_bytes(b"")
    assert "[bundle-hash]" in run("export", one, tmp_path / "x.zip", code=2).output
    assert not (tmp_path / "x.zip").exists()


def test_bundle_too_large_for_a_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST_ARCHIVE", 2**16 + 100)
    with raises_code("bundle-archive-too-large"):
        bundle_zip("tiny", {"a": bytes(101)})


def test_variants_travel_along(home: Path, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "models" / "phantom"
    source = tmp_path / "source"
    source.mkdir()
    for path in shipped.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((source / "manifest.json").read_text())
    (source / "manifest.json").write_text(json.dumps(manifest | {"name": "mine"}))
    run("export", source, tmp_path / "mine.zip")
    run("install", tmp_path / "mine.zip")
    assert (home / "models" / "mine" / "lesion.cpu.onnx").is_file()
    assert (home / "models" / "mine" / "MODEL_CARD.md").is_file()


def test_verify_all(home: Path, one: Path, tmp_path: Path) -> None:
    assert run("verify").output == ""
    run("install", one)
    run("install", write_bundle(tmp_path / "x", name="second"))
    said = run("verify").output
    assert "tiny 1.0.0: hashes" in said
    assert "second 1.0.0: hashes" in said
    (home / "models" / "second" / "kidney.onnx").write_bytes(tiny_model(seed=5).SerializeToString())
    said = run("verify", code=1).output
    assert "tiny 1.0.0: hashes" in said
    assert "[bundle-hash]" in said
    (home / "models" / "second" / "kidney.onnx").unlink()
    assert "[bundle-file]" in run("verify", code=1).output


# --- From a URL ----------------------------------------------------------------------------------


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as site:
        yield site


@pytest.fixture
def served(site: Site, tmp_path: Path) -> tuple[str, str]:
    """A URL with version 2.0.0, and the hash that it has."""
    data = bundle_zip("tiny", bundle_files(tmp_path / "served", version="2.0.0"))
    site.answers["/tiny.zip"] = lambda handler: handler.whole(data, ETag='"1"')
    return site.url("/tiny.zip"), hashlib.sha256(data).hexdigest()


def test_install_from_a_url(home: Path, served: tuple[str, str]) -> None:
    url, sha256 = served
    run("install", url, "--sha256", sha256)
    assert version() == "2.0.0"
    assert leftovers(home) == []


def test_a_url_needs_a_hash(home: Path, site: Site, served: tuple[str, str]) -> None:
    assert "[download-sha256-needed]" in run("install", served[0], code=2).output
    assert site.requests == []
    assert not home.exists()


def test_refused_downloads_leave_the_installed_one(
    home: Path, one: Path, site: Site, served: tuple[str, str]
) -> None:
    run("install", one)
    url, sha256 = served
    site.answers["/away"] = lambda handler: handler.say(302, Location=f"file://{one}")
    page = b"<html>log in</html>"
    site.answers["/page"] = lambda handler: handler.whole(page)
    for source, digest, code in (
        (url, "ab" * 32, "bundle-sha256"),
        (site.url("/none"), sha256, "download-status"),
        (site.url("/away"), sha256, "download-url"),
        (site.url("/page"), hashlib.sha256(page).hexdigest(), "bundle-archive-damaged"),
    ):
        said = run("install", source, "--sha256", digest, "--replace", code=2).output
        assert f"[{code}]" in said
        assert version() == "1.0.0"


def test_a_refused_download_is_not_fetched_twice(
    home: Path, one: Path, site: Site, served: tuple[str, str]
) -> None:
    run("install", one)
    url, sha256 = served
    assert "[bundle-installed]" in run("install", url, "--sha256", sha256, code=2).output
    run("install", url, "--sha256", sha256, "--replace")
    assert len(site.requests) == 1
    assert version() == "2.0.0"
    assert leftovers(home) == []


def test_a_cut_download_goes_on_with_the_same_command(
    home: Path, site: Site, tmp_path: Path
) -> None:
    data = bundle_zip("tiny", bundle_files(tmp_path / "served"))

    def halves(handler: Handler) -> None:
        half = len(data) // 2
        if "Range" in handler.headers:
            where = f"bytes {half}-{len(data) - 1}/{len(data)}"
            handler.say(206, data[half:], Content_Range=where, Content_Length=len(data) - half)
        else:
            handler.say(200, data[:half], ETag='"1"', Content_Length=len(data))

    site.answers["/tiny.zip"] = halves
    command = ("install", site.url("/tiny.zip"), "--sha256", hashlib.sha256(data).hexdigest())
    assert "[download-interrupted]" in run(*command, code=2).output
    assert list((home / "models").iterdir()) == []
    run(*command)
    assert version() == "1.0.0"


def test_analysing_never_loads_what_downloads() -> None:
    code = (
        "import sys, rcc_onnx.engine, rcc_onnx.batch.cases, rcc_onnx.cli.app\n"
        "print([name for name in sys.modules if 'installing' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_python_users_get_the_bundle(home: Path, one: Path) -> None:
    done = install_bundle(str(one), Store(home))
    assert done.bundle.folder == home / "models" / "tiny"
    assert done.replaced is None
    assert install_bundle(str(one), Store(home)).already
