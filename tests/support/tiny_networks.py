"""ONNX files and bundles for tests: one convolution and a sigmoid, in the pipeline's shapes."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

SHAPES = {"kidney": (160, 160, 1), "lesion": (40, 64, 64, 1)}


def tiny_model(
    name: str = "kidney",
    *,
    shape: Sequence[int] | None = None,
    batch: str | int = "batch",
    last: str = "Sigmoid",
    seed: int = 0,
    opset: int = 17,
) -> ModelProto:
    """Channels last in and out, as Keras has them, with one 3x3(x3) convolution between."""
    shape = SHAPES[name] if shape is None else shape
    axes = len(shape) - 1
    weights = np.random.default_rng(seed).normal(size=(1, 1) + (3,) * axes).astype(np.float32)
    nodes = [
        helper.make_node(
            "Transpose", ["image"], ["first"], perm=[0, axes + 1, *range(1, axes + 1)]
        ),
        helper.make_node("Conv", ["first", "weights"], ["sum"], pads=[1] * (2 * axes)),
        helper.make_node(last, ["sum"], ["squashed"]),
        helper.make_node(
            "Transpose", ["squashed"], ["probability"], perm=[0, *range(2, axes + 2), 1]
        ),
    ]
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, [batch, *shape])
        for end in ("image", "probability")
    ]
    initial = helper.make_tensor(
        "weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True
    )
    graph = helper.make_graph(nodes, name, [ends[0]], [ends[1]], [initial])
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def manifest_of(networks: dict[str, bytes], **changes: Any) -> dict[str, Any]:
    """A manifest that fits the bytes as `tiny_model` makes them; `changes` replace keys."""
    entries = {}
    for name, data in networks.items():
        shape = ["batch", *SHAPES[name]]
        entries[name] = {
            "file": f"{name}.onnx",
            "sha256": hashlib.sha256(data).hexdigest(),
            "opset": 17,
            "input": {"name": "image", "shape": shape, "dtype": "float32"},
            "output": {"name": "probability", "shape": shape, "dtype": "float32"},
            "variants": {},
            "left_out": {},
        }
    return {
        "schema_version": 1,
        "name": "tiny",
        "version": "1.0.0",
        "purpose": "Tests.",
        "use_on": ["digital-phantom"],
        "licence": "Apache-2.0",
        "thresholds": {"kidney": 1000.0, "lesion": 50.0},
        "networks": entries,
        "provenance": None,
        "reference_outputs": None,
        **changes,
    }


def write_bundle(folder: Path, networks: dict[str, bytes] | None = None, **changes: Any) -> Path:
    """Write a bundle whose manifest fits its files, whatever those are."""
    files = {name: tiny_model(name).SerializeToString() for name in SHAPES} | (networks or {})
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / f"{name}.onnx").write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest_of(files, **changes)))
    return folder


def add_variant(folder: Path, network: str, name: str, data: bytes) -> None:
    """Put one more variant of a network into a bundle that `write_bundle` wrote."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    file = f"{network}.{name}.onnx"
    comparison = {
        "inputs": 36,
        "decisions": 36,
        "decisions_equal": True,
        "largest_difference": 1e-06,
        "largest_sum_difference": 0.0,
        "least_dice": 1.0,
    }
    manifest["networks"][network]["variants"][name] = {
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "note": "for tests",
        "comparison": comparison,
    }
    (folder / file).write_bytes(data)
    path.write_text(json.dumps(manifest))
