"""The converted graph computes what TensorFlow's would: checked against plain numpy on a graph made here."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridlight.workloads.detection.convert import Input, convert

Array = np.ndarray[Any, np.dtype[Any]]

BEGIN = Input("picture", "image", (1, 7, 6, 3))
NHWC = {"s": list(b"NHWC")}
SAME = {"s": base64.b64encode(b"SAME").decode()}
VALID = {"s": list(b"VALID")}


def integers(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


class Model:
    """A TensorFlow.js graph model as it grows."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = [{"name": "picture", "op": "Placeholder"}]
        self.constants: dict[str, Array] = {}
        self._random = np.random.default_rng(7)

    def constant(self, name: str, *shape: int) -> Array:
        self.constants[name] = self._random.normal(size=shape).astype(np.float32)
        return self.constants[name]

    def known(self, name: str, value: Any) -> None:
        self.constants[name] = np.asarray(value, np.int32)

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> None:
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})

    def write(self, folder: Path) -> Path:
        weights = [
            {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in self.constants.items()
        ]
        data = b"".join(array.tobytes() for array in self.constants.values())
        (folder / "shard1").write_bytes(data[:10])
        (folder / "shard2").write_bytes(data[10:])
        manifest = [{"paths": ["shard1", "shard2"], "weights": weights}]
        nodes = [*self.nodes, *({"name": name, "op": "Const"} for name in self.constants)]
        description = {"modelTopology": {"node": nodes}, "weightsManifest": manifest}
        path = folder / "model.json"
        path.write_text(json.dumps(description), encoding="utf-8")
        return path


def run(model: bytes, picture: Array) -> dict[str, Array]:
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    runtime: Any = onnxruntime
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": picture}), strict=True))


def same_padded(value: Array, kernel: int, stride: int) -> Array:
    """TensorFlow's SAME: the odd pixel is padded at the end."""
    pads = [(0, 0)]
    for size in value.shape[1:3]:
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        pads.append((total // 2, total - total // 2))
    return np.pad(value, [*pads, (0, 0)])


def convolved(value: Array, weights: Array, stride: int) -> Array:
    """Conv2D by its definition, NHWC and HWIO, no padding."""
    height, width = weights.shape[:2]
    rows = (value.shape[1] - height) // stride + 1
    columns = (value.shape[2] - width) // stride + 1
    result = np.zeros((1, rows, columns, weights.shape[3]))
    for row in range(rows):
        for column in range(columns):
            patch = value[0, row * stride : row * stride + height, column * stride : column * stride + width]
            result[0, row, column] = np.tensordot(patch, weights, axes=3)
    return result


@pytest.fixture
def picture() -> Array:
    return np.random.default_rng(3).integers(0, 256, BEGIN.shape, np.uint8)


def test_a_convolution_with_bias_and_relu6(tmp_path: Path, picture: Array) -> None:
    model = Model()
    weights, bias = model.constant("weights", 3, 3, 3, 5), model.constant("bias", 5)
    model.node(
        "Conv2D",
        "conv",
        "picture",
        "weights",
        data_format=NHWC,
        padding=SAME,
        strides=integers(1, 2, 2, 1),
        dilations=integers(1, 1, 1, 1),
    )
    model.node("BiasAdd", "biased", "conv", "bias")
    model.node("Relu6", "out", "biased")
    output = run(convert(model.write(tmp_path), BEGIN, {"out": "out"}), picture)["out"]
    expected = np.clip(convolved(same_padded(picture.astype(float), 3, 2), weights, 2) + bias, 0, 6)
    assert output.shape == (1, 4, 3, 5)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-3)


def test_a_depthwise_convolution_with_a_multiplier_and_batch_norm(tmp_path: Path, picture: Array) -> None:
    model = Model()
    weights = model.constant("weights", 3, 2, 3, 2)
    scale, offset, mean = (model.constant(name, 6) for name in ("scale", "offset", "mean"))
    variance = np.abs(model.constant("variance", 6))
    model.constants["variance"] = variance
    model.node(
        "DepthwiseConv2dNative",
        "conv",
        "picture",
        "weights",
        data_format=NHWC,
        padding=VALID,
        strides=integers(1, 1, 1, 1),
        dilations=integers(1, 1, 1, 1),
    )
    model.node("FusedBatchNorm", "out", "conv", "scale", "offset", "mean", "variance", epsilon={"f": 0.001})
    output = run(convert(model.write(tmp_path), BEGIN, {"out": "out"}), picture)["out"]
    # Channel c makes outputs 2c and 2c+1: one ordinary convolution each, of that channel alone.
    channels = [convolved(picture[..., c : c + 1].astype(float), weights[:, :, c : c + 1], 1) for c in range(3)]
    expected = (np.concatenate(channels, -1) - mean) / np.sqrt(variance + 0.001) * scale + offset
    np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-2)


def test_a_reshape_sees_the_elements_in_tensorflows_order(tmp_path: Path, picture: Array) -> None:
    model = Model()
    weights = model.constant("weights", 1, 1, 3, 4)
    for name, value in (("zero", [0]), ("one", [1]), ("minus", -1), ("two", 2), ("axis", 1)):
        model.known(name, value)
    model.node(
        "Conv2D",
        "conv",
        "picture",
        "weights",
        data_format=NHWC,
        padding=VALID,
        strides=integers(1, 1, 1, 1),
        dilations=integers(1, 1, 1, 1),
    )
    model.node("Shape", "shape", "conv")
    masks = {f"{name}_mask": {"i": "0"} for name in ("begin", "end", "ellipsis", "new_axis")}
    model.node("StridedSlice", "batch", "shape", "zero", "one", "one", shrink_axis_mask={"i": "1"}, **masks)
    model.node("Pack", "wanted", "batch", "minus", "two", axis={"i": "0"})
    model.node("Reshape", "flat", "conv", "wanted")
    model.node("ConcatV2", "out", "flat", "flat", "axis", N={"i": "2"})
    output = run(convert(model.write(tmp_path), BEGIN, {"out": "out"}), picture)["out"]
    flat = convolved(picture.astype(float), weights, 1).reshape(1, -1, 2)
    np.testing.assert_allclose(output, np.concatenate([flat, flat], 1), rtol=1e-4, atol=1e-3)


def test_unpacking_arithmetic_and_packing(tmp_path: Path, picture: Array) -> None:
    model = Model()
    offset = model.constant("offset", 3, 126)
    model.known("flat", [126, -1])
    model.known("turned", [1, 0])
    model.known("twice", [2, 1])
    model.known("first", 0)
    model.constants["half"] = np.asarray(0.5, np.float32)
    model.constants["small"] = np.asarray(0.001, np.float32)
    model.node("Reshape", "grey", "picture", "flat")  # [126, 1]
    model.node("Mul", "halved", "grey", "half")
    model.node("Transpose", "across", "halved", "turned")  # [1, 126]
    model.node("Unpack", "rows", "offset", axis={"i": "0"}, num={"i": "3"})  # of a constant
    model.node("Add", "a", "across", "rows")
    model.node("Sub", "b", "across", "rows:1")
    model.node("Mul", "scaled", "across", "small")
    model.node("Exp", "c", "scaled")
    model.node("Sigmoid", "d", "scaled")
    model.node("AddN", "e", "a", "b")
    model.node("Pack", "packed", "a", "b", "c", "d", "e", axis={"i": "0"})  # [5, 1, 126]
    model.node("Squeeze", "squeezed", "packed", squeeze_dims=integers(1))
    model.node("Unpack", "parts", "squeezed", axis={"i": "0"}, num={"i": "5"})  # of a value
    model.node("ExpandDims", "out", "parts:4", "first")
    model.node("Tile", "tiled", "offset", "twice")
    model.node("ExpandDims", "whole", "squeezed", "first")
    converted = convert(model.write(tmp_path), BEGIN, {"out": "out", "whole": "whole"})
    output = run(converted, picture)
    grey = picture.reshape(-1) * 0.5
    a, b, c = grey + offset[0], grey - offset[1], np.exp(grey * 0.001)
    expected = np.stack([a, b, c, 1 / (1 + np.exp(-grey * 0.001)), a + b])
    np.testing.assert_allclose(output["whole"][0], expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(output["out"][0], a + b, rtol=1e-5, atol=1e-4)


def test_two_conversions_are_equal_byte_for_byte(tmp_path: Path) -> None:
    model = Model()
    model.constant("weights", 3, 3, 3, 5)
    model.node(
        "Conv2D",
        "out",
        "picture",
        "weights",
        data_format=NHWC,
        padding=SAME,
        strides=integers(1, 2, 2, 1),
        dilations=integers(1, 1, 1, 1),
    )
    path = model.write(tmp_path)
    assert convert(path, BEGIN, {"out": "out"}) == convert(path, BEGIN, {"out": "out"})


def test_an_op_without_a_rule_is_named(tmp_path: Path) -> None:
    model = Model()
    model.node("ResizeBilinear", "resized", "picture")
    with pytest.raises(ValueError, match="resized: no rule for the op ResizeBilinear"):
        convert(model.write(tmp_path), BEGIN, {"out": "resized"})


def test_an_output_that_ignores_the_input_is_refused(tmp_path: Path) -> None:
    model = Model()
    model.constant("weights", 2, 2)
    with pytest.raises(ValueError, match="does not depend on the input"):
        convert(model.write(tmp_path), BEGIN, {"out": "weights"})


def test_a_shape_that_depends_on_the_input_is_refused(tmp_path: Path) -> None:
    model = Model()
    model.node("Reshape", "out", "picture", "picture")
    with pytest.raises(ValueError, match="depends on its input"):
        convert(model.write(tmp_path), BEGIN, {"out": "out"})


def test_another_layout_is_refused(tmp_path: Path) -> None:
    model = Model()
    model.constant("weights", 1, 1, 3, 1)
    model.node("Conv2D", "out", "picture", "weights", data_format={"s": list(b"NCHW")}, padding=SAME)
    with pytest.raises(ValueError, match="only NHWC"):
        convert(model.write(tmp_path), BEGIN, {"out": "out"})


def test_a_slice_that_we_have_no_use_for_is_refused(tmp_path: Path) -> None:
    model = Model()
    model.known("zero", [0])
    model.known("two", [2])
    model.node("Shape", "shape", "picture")
    masks = {f"{name}_mask": {"i": "0"} for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")}
    model.node("StridedSlice", "slice", "shape", "zero", "two", "two", **masks)
    model.node("Reshape", "out", "picture", "slice")
    with pytest.raises(ValueError, match="only a plain slice"):
        convert(model.write(tmp_path), BEGIN, {"out": "out"})


def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    model = Model()
    model.constant("weights", 2)
    path = model.write(tmp_path)
    description = json.loads(path.read_text(encoding="utf-8"))
    description["weightsManifest"][0]["weights"][0]["quantization"] = {"dtype": "uint8"}
    path.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ValueError, match="quantized"):
        convert(path, BEGIN, {"out": "picture"})


def test_a_shard_that_was_cut_is_noticed(tmp_path: Path) -> None:
    model = Model()
    model.constant("weights", 20)
    path = model.write(tmp_path)
    with (tmp_path / "shard2").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ValueError, match="their manifest tells of"):
        convert(path, BEGIN, {"out": "picture"})
