"""The command `rcc-onnx completion`, and the answers that a shell asks for when Tab is pressed.

Typer's own `--install-completion` is not offered: it edits the shell's settings, and those of
PowerShell so that any script may run.
"""

import os
from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_inspect_parameters, shell_complete

PROGRAM = "rcc-onnx"
VARIABLE = "_RCC_ONNX_COMPLETE"
"""Set by the scripts: asks the program for words instead of doing anything."""


class Shell(StrEnum):
    """Those that a script is there for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def answer_shells() -> None:
    """Let Typer answer a shell that asks for words; without its variable nothing happens."""
    if os.environ.get(VARIABLE):
        # This registers the shells, and is the only public function that does.
        get_completion_inspect_parameters()


def completion(
    context: typer.Context,
    shell: Annotated[Shell, typer.Argument(help="The shell that the script is for.")],
) -> None:
    """Print a script with which a shell completes with Tab.

    Nothing is changed: how the script gets into the shell is your choice. For
    this session: source <(rcc-onnx completion bash). For good, see
    docs/installing.md.

    Example: rcc-onnx completion bash
    """
    get_completion_inspect_parameters()
    program = context.find_root().command
    raise typer.Exit(shell_complete(program, {}, PROGRAM, VARIABLE, f"source_{shell}"))
