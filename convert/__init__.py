"""Keras files in, model bundle out: `python -m convert KIDNEY.h5 RCC.h5 --name NAME --out DIR`.

The only part of the project that knows TensorFlow, h5py and onnx. It is a tool of the checkout and
is not installed with `rcc_onnx`. `convert.conversion` shows the way of a conversion,
`convert.keras` reads, builds, exports and verifies the networks, and `convert.optimize` rewrites
the exported graphs.
"""
