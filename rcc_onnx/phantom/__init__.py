"""Digital phantoms: abdominal CT studies of synthetic patients, with the truth known.

They exist so that the software can be built, shown and tested without patients. They are far
simpler than people, and figures measured on them are not figures of patients.
"""

from rcc_onnx.phantom.anatomy import Label, Prevalence, draw_anatomy
from rcc_onnx.phantom.scan import Storage, draw_scan, network_samples
from rcc_onnx.phantom.study import PhantomStudy, make_study, write_study

__all__ = [
    "Label",
    "PhantomStudy",
    "Prevalence",
    "Storage",
    "draw_anatomy",
    "draw_scan",
    "make_study",
    "network_samples",
    "write_study",
]
