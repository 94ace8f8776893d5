"""Every reason for which a conversion is refused. Each leaf has a stable code."""

from rcc_onnx.errors import RccOnnxError


class ConvertError(RccOnnxError):
    """A conversion that cannot be done, or that must not be trusted."""

    code = "convert"


# --- Options and output --------------------------------------------------------------------------


class ConvertOptionError(ConvertError, ValueError):
    """A name, version, threshold or other option that no bundle can have."""

    code = "convert-option"


class ConvertPackagesError(ConvertError, ImportError):
    """A package that only conversion needs is missing or of an unusable version."""

    code = "convert-packages"


class OutputExistsError(ConvertError, FileExistsError):
    """The output folder exists, and replacing it was not asked for or would not be safe."""

    code = "convert-out-exists"


class OutputError(ConvertError, OSError):
    """The output folder cannot be written."""

    code = "convert-out"


# --- The HDF5 file -------------------------------------------------------------------------------


class SourceMissingError(ConvertError, FileNotFoundError):
    """There is no such file, or it cannot be opened."""

    code = "convert-missing"


class NotHdf5Error(ConvertError, ValueError):
    """The file is not HDF5 but, for instance, a Git LFS pointer, a web page or a zip file."""

    code = "convert-not-hdf5"


class DamagedFileError(ConvertError, ValueError):
    """The file begins as HDF5 but is cut short or damaged."""

    code = "convert-damaged"


class NotSelfContainedError(ConvertError, ValueError):
    """The file refers to data outside itself."""

    code = "convert-links"


class TooLargeError(ConvertError, ValueError):
    """The file declares more than any network of this pipeline can need."""

    code = "convert-too-large"


class WeightsOnlyError(ConvertError, ValueError):
    """The file has weights but no architecture, as `save_weights` writes it."""

    code = "convert-weights-only"


class KerasVersionError(ConvertError, ValueError):
    """The file was not written by Keras 2."""

    code = "convert-keras-version"


class KerasBackendError(ConvertError, ValueError):
    """The network was saved on Theano or CNTK, whose convolutions differ from TensorFlow's."""

    code = "convert-backend"


class MissingWeightsError(ConvertError, ValueError):
    """The weights in the file do not belong to the architecture in the file."""

    code = "convert-weights"


# --- The architecture ----------------------------------------------------------------------------


class ArchitectureError(ConvertError, ValueError):
    """The description of the network is not one that Keras 2 writes."""

    code = "convert-architecture"


class LambdaLayerError(ArchitectureError):
    """The network holds a Lambda layer, that is, Python code. It is never run."""

    code = "convert-lambda"


class NestedModelError(ArchitectureError):
    """A layer of the network is a network itself."""

    code = "convert-nested"


class UnknownLayerError(ArchitectureError):
    """A layer, or an option of a layer, that is not known to convert faithfully."""

    code = "convert-layer"


class ChannelsFirstError(ArchitectureError):
    """The network works on (channels, rows, columns) and cannot be run or converted as such."""

    code = "convert-channels-first"


class EndpointsError(ArchitectureError):
    """The network has not exactly one input and one output."""

    code = "convert-endpoints"


class NetworkShapeError(ArchitectureError):
    """Input or output shape is not the pipeline's."""

    code = "convert-shape"


class SwappedFilesError(ArchitectureError):
    """A kidney network was given where the lesion network belongs, or the reverse."""

    code = "convert-swapped"


class OutputActivationError(ArchitectureError):
    """The output does not come from a sigmoid, or is not a probability."""

    code = "convert-activation"


class NetworkDtypeError(ArchitectureError, TypeError):
    """The network does not compute in float32."""

    code = "convert-dtype"


# --- Conversion and comparison -------------------------------------------------------------------


class KerasLoadError(ConvertError, RuntimeError):
    """tf_keras cannot build or run the network."""

    code = "convert-load"


class ExportError(ConvertError, RuntimeError):
    """The network cannot be written as a valid ONNX file."""

    code = "convert-export"


class ParityError(ConvertError, RuntimeError):
    """Keras and ONNX Runtime do not agree; nothing is written."""

    code = "convert-parity"


class SourceMismatchError(ConvertError, ValueError):
    """The files given are not those that the bundle was converted from."""

    code = "convert-source-mismatch"


# --- Quantization --------------------------------------------------------------------------------


class QuantizeError(ConvertError, ValueError):
    """A network cannot be written in 8-bit integers or float16, or calibration data are missing."""

    code = "convert-quantize"


class QuantizedDecisionsError(ConvertError, RuntimeError):
    """A quantized network decides otherwise than in float32; nothing is written."""

    code = "convert-quantize-decisions"
