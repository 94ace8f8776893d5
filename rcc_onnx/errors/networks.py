"""Refusals of what runs the networks."""

from rcc_onnx.errors.base import RccOnnxError


class ProviderError(RccOnnxError, RuntimeError):
    """An execution provider that was asked for cannot run here. `advice`: what to do about it."""

    code = "provider"

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}. {self.advice}" if self.advice else self.problem


class RuntimeNotUsableError(ProviderError, ImportError):
    """onnxruntime itself is missing or cannot be imported."""

    code = "onnxruntime-not-usable"


class ProviderNotInstalledError(ProviderError):
    """The onnxruntime that is installed was built without this provider."""

    code = "provider-not-installed"


class ProviderNotLoadedError(ProviderError):
    """The provider is installed, but a library, a driver or a device that it needs is missing."""

    code = "provider-not-loaded"


class ProviderConflictError(ProviderError):
    """Several onnxruntime packages are installed over one another; the wanted one is hidden."""

    code = "provider-conflict"


class ProviderDisagreesError(ProviderError):
    """The provider runs, but its answers are not the stored ones: nothing is analysed on it."""

    code = "provider-disagrees"


class ThreadsError(RccOnnxError, ValueError):
    """The number of threads is not a whole number of at least 1."""

    code = "threads"


class PrecisionError(RccOnnxError, ValueError):
    """The bundle has no network of this precision, or the provider does not run it."""

    code = "precision"


class NetworkError(RccOnnxError, RuntimeError):
    """A network cannot be loaded, cannot be run, or answers nonsense."""

    code = "network"


class NetworkLoadError(NetworkError):
    """onnxruntime refuses a network."""

    code = "network-load"


class NetworkRunError(NetworkError):
    """onnxruntime failed while it ran a network."""

    code = "network-run"


class NetworkOutputError(NetworkError):
    """A network's answer has a wrong shape or holds what is no probability."""

    code = "network-output"


class NetworkInputError(NetworkError, ValueError):
    """A network was given an array of a wrong shape or type."""

    code = "network-input"
