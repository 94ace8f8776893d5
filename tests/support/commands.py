"""The program as a user runs it."""

from typer.testing import CliRunner, Result

from rcc_onnx.cli.app import app


def run(*arguments: object) -> Result:
    """Run a command in this process; fail on a traceback."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result
