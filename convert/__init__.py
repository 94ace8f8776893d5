"""Keras files in, model bundle out: `python -m convert KIDNEY.h5 RCC.h5 --name NAME --out DIR`.

The only part of the project that knows TensorFlow, h5py and onnx. It is a tool of the checkout and
is not installed with `rcc_onnx`. What happens, in order (`convert.job` reads the same way):

1. `convert.hdf5` and `convert.architecture` look at the files without any code of Keras;
2. `convert.keras_network` builds the network from the checked description and sets its weights;
3. `convert.export` makes the ONNX file, `convert.canonical` gives it the same bytes every time;
4. `convert.verify` compares both networks on many inputs and at every decision;
5. `convert.bundle` writes the folder, all of it or nothing.
"""
