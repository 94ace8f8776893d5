"""Read a CT study from disk: a folder in, ordered slices out, or a typed error.

In the order of the work: `sources` (files), `headers` (with `dataset`), `grouping` (which slices
belong together), `stack` (geometry), `series` (candidates and choice), `reader` (a `study`);
`pixels` are decoded only when a stage asks for a slice. `discovery` finds the studies of an input,
`header_privacy` decides which texts may be shown, `codec_check` tries the decoders.
"""

from rcc_onnx.dicom.discovery import StudyPlace, find_studies
from rcc_onnx.dicom.pixels import ImagesHash, PixelObserver
from rcc_onnx.dicom.reader import check_series_selection, read_study
from rcc_onnx.dicom.series import SeriesSelection, series_table
from rcc_onnx.dicom.study import Study, StudySlice
from rcc_onnx.types import InputIs, SeriesPolicy

__all__ = [
    "ImagesHash",
    "InputIs",
    "PixelObserver",
    "SeriesPolicy",
    "SeriesSelection",
    "Study",
    "StudyPlace",
    "StudySlice",
    "check_series_selection",
    "find_studies",
    "read_study",
    "series_table",
]
