"""Refusals of settings: the file rcc-onnx.toml and the variables RCC_ONNX_..."""

from rcc_onnx.errors.base import RccOnnxError

# --- Settings ------------------------------------------------------------------------------------


class SettingsError(RccOnnxError, ValueError):
    """A settings file or an environment variable cannot be used."""

    code = "settings"


class SettingsFileError(SettingsError):
    """A settings file is missing, cannot be read, is no TOML, or lies among the studies."""

    code = "settings-file"


class SettingsUnknownKeyError(SettingsError, LookupError):
    """A settings file has a table or a key that there is no command or option for."""

    code = "settings-unknown-key"


class SettingsValueError(SettingsError):
    """A setting has a value of another type, or one that its option cannot have."""

    code = "settings-value"


class SettingsVariableError(SettingsError, LookupError):
    """An environment variable RCC_ONNX_... that there is no option for."""

    code = "settings-variable"
