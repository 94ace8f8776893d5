"""The commands `rcc-onnx models …`: list, show, verify, install, remove and export bundles."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rcc_onnx.cli.shared import (
    EXIT_INTERRUPTED,
    EXIT_NOT_STARTED,
    EXIT_SOME_FAILED,
    console,
    exit_on_error,
    print_error,
)
from rcc_onnx.errors import RccOnnxError

if TYPE_CHECKING:
    from rcc_onnx.bundles.bundle import Bundle

models_app = typer.Typer(
    help="Model bundles: list, verify, install, export ...", no_args_is_help=True
)

BundleName = Annotated[str, typer.Argument(metavar="NAME|DIR", help="A bundle, by name or folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts instead of a table.")]


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the bundles that are found by name.

    Those in RCC_ONNX_MODELS_FOLDER, those installed, those shipped.

    Example: rcc-onnx models list
    """
    with exit_on_error():
        from rcc_onnx.bundles.bundle import (  # noqa: PLC0415
            hidden_bundles,
            installed_bundles,
            search_folders,
        )
        from rcc_onnx.cli.models_report import (  # noqa: PLC0415
            hidden_lines,
            installed_json,
            installed_table,
            searched_line,
        )

        folders = search_folders()
        bundles = installed_bundles(folders, check=True)
        if as_json:
            print(json.dumps([installed_json(bundle) for bundle in bundles], indent=2))
            return
        console(soft_wrap=False).print(installed_table(bundles))
        for line in (*hidden_lines(hidden_bundles(folders)), searched_line(folders)):
            print(line)


@models_app.command("show")
def models_show(name: BundleName, as_json: Json = False) -> None:
    """Show what a bundle is for, where it comes from, and its certificate.

    Example: rcc-onnx models show phantom
    """
    with exit_on_error():
        from rcc_onnx.bundles.bundle import find_bundle  # noqa: PLC0415
        from rcc_onnx.cli.models_report import bundle_table  # noqa: PLC0415
        from rcc_onnx.system.documents import document_bytes  # noqa: PLC0415

        bundle = find_bundle(name)
        if as_json:
            print(document_bytes(bundle.manifest).decode(), end="")
        else:
            console(soft_wrap=False).print(bundle_table(bundle))


@models_app.command("verify")
def models_verify(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|DIR", help="A bundle, by name or folder. Default: all."),
    ] = None,
) -> None:
    """Check a bundle, and run its networks once on the CPU.

    Checks hashes, shapes and operators. Prints the SHA-256 that `models install --sha256` takes.

    Exit codes: 0 all bundles pass, 1 some of all do not, 2 the named one does not.

    Example: rcc-onnx models verify models/published
    """
    with exit_on_error():
        from rcc_onnx.bundles.bundle import BrokenBundle, find_bundle, installed_bundles  # noqa: PLC0415

        if name is not None:
            _verify(find_bundle(name))
            return
        failed = 0
        for bundle in installed_bundles():
            try:
                if isinstance(bundle, BrokenBundle):
                    raise bundle.error
                _verify(bundle)
            except RccOnnxError as error:
                failed += 1
                print(f"{bundle.name} in {bundle.folder} is broken", file=sys.stderr)
                print_error(error)
        if failed:
            raise typer.Exit(EXIT_SOME_FAILED)


@models_app.command("install")
def models_install(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE.zip|DIR",
            help="A zip file that `models export` made, or the folder of a bundle.",
        ),
    ],
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="Expected SHA-256, as published by its author."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an installed bundle of the same name.")
    ] = False,
) -> None:
    """Install a bundle for this user, in the data folder. It is checked and run once before.

    Example: rcc-onnx models install published.zip
    """
    with _nothing_changed():
        from rcc_onnx.bundle_store.install import BundleStore, install_bundle  # noqa: PLC0415
        from rcc_onnx.bundles.bundle import hidden_bundles  # noqa: PLC0415
        from rcc_onnx.cli.models_report import hidden_lines, installation_lines  # noqa: PLC0415

        done = install_bundle(source, BundleStore.of_user(), sha256=sha256, replace=replace)
    with exit_on_error():
        name = done.bundle.name
        hidden = [(bundle, hider) for bundle, hider in hidden_bundles() if bundle.name == name]
        for line in (*installation_lines(done), *hidden_lines(hidden)):
            print(line)


@models_app.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An installed bundle, by name.")],
) -> None:
    """Delete a bundle that `models install` put into the data folder.

    Example: rcc-onnx models remove published
    """
    with _nothing_changed():
        from rcc_onnx.bundle_store.install import BundleStore, remove_bundle  # noqa: PLC0415

        print(f"{name} is removed from {remove_bundle(name, BundleStore.of_user()).parent}")


@models_app.command("export")
def models_export(
    name: BundleName,
    target: Annotated[Path, typer.Argument(metavar="FILE.zip", help="The zip file to write.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if there is one.")
    ] = False,
) -> None:
    """Write a bundle as a zip file for other machines, with the same bytes each time.

    Example: rcc-onnx models export published published.zip
    """
    with exit_on_error():
        from rcc_onnx.bundle_store.install import export_bundle  # noqa: PLC0415
        from rcc_onnx.bundles.bundle import find_bundle  # noqa: PLC0415

        sha256 = export_bundle(find_bundle(name), target, overwrite=overwrite)
        print(f"{target} is written, SHA-256 {sha256}")
        print(f"Next, where it is needed: rcc-onnx models install {target.name} --sha256 {sha256}")


def _verify(bundle: "Bundle") -> None:
    from rcc_onnx.bundle_store.archive import read_folder  # noqa: PLC0415
    from rcc_onnx.cli.models_report import verified_lines  # noqa: PLC0415
    from rcc_onnx.runtime.self_test import verify_bundle  # noqa: PLC0415

    for line in verified_lines(bundle, verify_bundle(bundle), read_folder(bundle.folder)):
        print(line)


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """Like `exit_on_error`, for commands that change all or nothing."""
    try:
        yield
    except RccOnnxError as error:
        print_error(error)
        print("no installed bundle was changed", file=sys.stderr)
        raise typer.Exit(EXIT_NOT_STARTED) from None
    except KeyboardInterrupt:
        print("interrupted; no installed bundle was changed", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
