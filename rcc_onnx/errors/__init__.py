"""Every refusal of rcc-onnx, as one tree; that of `python -m convert` is in convert/errors.py.

RccOnnxError
  IntakeError                   ValueError         a study
    FolderNotFoundError         FileNotFoundError
    SeveralSeriesError                             `series`: the candidates
    DuplicatePositionsError
    PixelsError
  ProbabilityMapError           ValueError         an array given by a caller
  BundleError                   ValueError         a model bundle, or its installation
    BundleManifestError                            `key`: the path to the value at fault
    OnnxFormatError
    BundleFolderError           FileNotFoundError
    BundleChoiceError           LookupError
    BundleExportError           OSError
    DataFolderError             OSError
  ProviderError                 RuntimeError       `advice`: what to do about it
    RuntimeNotUsableError       ImportError
    ProviderNotInstalledError
    ProviderDisagreesError
  NetworkError                  RuntimeError       running a network
    NetworkOutputError
  OptionError                   ValueError         an option, on the command line or in Python
  SettingsError                 ValueError         rcc-onnx.toml and the variables RCC_ONNX_...
  InputFolderError              FileNotFoundError  the cases of a run
  AmbiguousInputError           ValueError
  PseudonymsError               ValueError
  OutputError                   OSError            the files of a run
  LogFileError                  OSError
  CaseProcessError              RuntimeError       the process that analyses a case
    CaseCrashedError
    CaseTimeoutError            TimeoutError
    CaseMemoryError             MemoryError
  WatchError                    RuntimeError       `rcc-onnx watch`
    InboxGoneError              FileNotFoundError
    StudyChangedError
    StudyUnreadableError        OSError
    NameTakenError              ValueError
    MoveError                   OSError
  CheckError                    ValueError         `rcc-onnx verify`
    SumsFormatError
  EvaluateError                 ValueError         `rcc-onnx evaluate`
    ResultDocumentError
    MaskError
  SupportError                  OSError            `rcc-onnx support`
  MissingExtraError             ImportError        an optional package
  BenchError                    RuntimeError       `rcc-onnx bench`
  UnexpectedError               RuntimeError       a defect of rcc-onnx

Each also inherits the builtin beside it or above it, for callers who do not import this module.
There is a class for what a caller may want to catch; within a class, `code` tells the reasons
apart. Codes are stable. A message says what happened, where, and what to do; it never holds
patient data. docs/errors.md lists all codes and is written from the classes.
"""

from rcc_onnx.errors.inputs import *  # noqa: F403
from rcc_onnx.errors.runs import *  # noqa: F403
