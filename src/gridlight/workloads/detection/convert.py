"""Turns a TensorFlow.js graph model into ONNX, once, at set-up. The same files give the same bytes on every machine.

Values between convolutions stay channels-first, as ONNX wants them, and are turned back only where the order of
elements shows (a reshape, an output), so the runtime finds nothing to transpose. Whatever depends on constants and
static shapes alone is computed here and leaves no node.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_node_outputs

OPSET = 17
IR_VERSION = 8
"""Fixed, not the library's newest: every onnxruntime since 1.14 reads them, and the bytes stay the same."""

Array = np.ndarray[Any, Any]


class Input(NamedTuple):
    """Where the ONNX graph begins: a TensorFlow node that is fed from outside, as uint8 in this shape."""

    node: str
    name: str
    shape: tuple[int, ...]


class _Tensor(NamedTuple):
    """A value known only at run time. `shape` is as stored: (n, c, h, w) where `is_channels_first`."""

    name: str
    shape: tuple[int, ...]
    is_channels_first: bool = False


_Value = Array | _Tensor
_Node = Mapping[str, Any]


def convert(model_json: Path, begin: Input, outputs: Mapping[str, str]) -> bytes:
    """The ONNX model from `begin` to `outputs` (ONNX name to TensorFlow node). ValueError for an op without a rule."""
    description = json.loads(model_json.read_text(encoding="utf-8"))
    constants = _read_weights(model_json.parent, description["weightsManifest"])
    nodes = {node["name"]: node for node in description["modelTopology"]["node"]}
    graph = _Graph(begin, constants, nodes)
    for name, node in outputs.items():
        graph.add_output(name, node)
    return graph.serialize()


def _read_weights(folder: Path, manifest: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Every constant by its node's name, cut from the joined shards of its group."""
    constants: dict[str, Array] = {}
    for group in manifest:
        data = b"".join((folder / path).read_bytes() for path in group["paths"])
        offset = 0
        for weight in group["weights"]:
            if "quantization" in weight:
                raise ValueError(f"weight {weight['name']} is quantized; only plain float32 and int32 are supported")
            dtype = np.dtype(weight["dtype"]).newbyteorder("<")
            count = int(np.prod(weight["shape"], dtype=np.int64))
            constants[weight["name"]] = np.frombuffer(data, dtype, count, offset).reshape(weight["shape"])
            offset += count * dtype.itemsize
        if offset != len(data):
            raise ValueError(f"the shards hold {len(data)} bytes, their manifest tells of {offset}")
    return constants


class _Graph:
    """The ONNX graph as it grows: values by TensorFlow name, nodes in the order they were first needed."""

    def __init__(self, begin: Input, constants: Mapping[str, Array], nodes: Mapping[str, _Node]) -> None:
        self._constants = constants
        self._tf_nodes = nodes
        self._values: dict[str, _Value] = {}
        self._onnx_nodes: list[onnx.NodeProto] = []
        self._initializers: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}
        self._outputs: list[onnx.ValueInfoProto] = []
        self._input = helper.make_tensor_value_info(begin.name, TensorProto.UINT8, begin.shape)
        as_float = self.emit("Cast", [_Tensor(begin.name, begin.shape)], to=TensorProto.FLOAT, source_type=np.uint8)
        self._values[begin.node] = as_float

    def add_output(self, name: str, node: str) -> None:
        """Make a TensorFlow node's value an output of the ONNX graph, in TensorFlow's order of elements."""
        value = self.channels_last(self.value(node))
        if not isinstance(value, _Tensor):
            raise ValueError(f"output {node} does not depend on the input")  # noqa: TRY004
        self._onnx_nodes.append(helper.make_node("Identity", [value.name], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape))

    def value(self, reference: str) -> _Value:
        """A node's output by TensorFlow's `name` or `name:index`, converting what it needs first."""
        name, _, index = reference.removeprefix("^").partition(":")
        key = f"{name}:{index}" if index not in ("", "0") else name
        if key in self._values:
            return self._values[key]
        if name in self._constants:
            return self._constants[name]
        node = self._tf_nodes[name]
        rule = _RULES.get(node["op"])
        if rule is None:
            raise ValueError(f"node {name}: no rule for the op {node['op']}")
        results = rule(self, node, [self.value(one) for one in node["input"]])
        for position, result in enumerate(results):
            self._values[f"{name}:{position}" if position else name] = result
        return self._values[key]

    def emit(
        self,
        op: str,
        inputs: Sequence[_Value],
        *,
        is_channels_first: bool = False,
        source_type: type[np.generic] = np.float32,
        **attributes: Any,
    ) -> _Tensor:
        """Add one ONNX node with one output; its shape comes from ONNX's own inference."""
        names = [one.name if isinstance(one, _Tensor) else self._initializer(one) for one in inputs]
        name = f"{op}_{len(self._onnx_nodes)}"
        node = helper.make_node(op, names, [name], **attributes)
        self._onnx_nodes.append(node)
        element = helper.np_dtype_to_tensor_dtype(np.dtype(source_type))
        types, data = {}, {}
        for one, label in zip(inputs, names, strict=True):
            if isinstance(one, _Tensor):
                types[label] = helper.make_tensor_type_proto(element, one.shape)
            else:
                data[label] = numpy_helper.from_array(one)
                types[label] = helper.make_tensor_type_proto(data[label].data_type, one.shape)
        inferred = infer_node_outputs(
            onnx.defs.get_schema(op, OPSET), node, types, data, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        shape = tuple(dimension.dim_value for dimension in inferred[name].tensor_type.shape.dim)
        assert all(shape), f"{name} has no static shape: {shape}"
        return _Tensor(name, shape, is_channels_first)

    def channels_first(self, value: _Value) -> _Value:
        """The value as (n, c, h, w)."""
        if not isinstance(value, _Tensor):
            return value if value.ndim == 0 else value.reshape(-1, 1, 1)
        if value.is_channels_first:
            return value
        assert len(value.shape) == 4, value
        return self.emit("Transpose", [value], is_channels_first=True, perm=[0, 3, 1, 2])

    def channels_last(self, value: _Value) -> _Value:
        """The value as TensorFlow orders it."""
        if isinstance(value, _Tensor) and value.is_channels_first:
            return self.emit("Transpose", [value], perm=[0, 2, 3, 1])
        return value

    def serialize(self) -> bytes:
        """The whole model; field order and names are ours, so the bytes are a function of the input."""
        graph = helper.make_graph(
            self._onnx_nodes, "graph", [self._input], self._outputs, list(self._initializers.values())
        )
        model = helper.make_model(
            graph,
            producer_name="gridlight",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _initializer(self, array: Array) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._initializers:
            self._initializers[key] = numpy_helper.from_array(array, f"constant_{len(self._initializers)}")
        return self._initializers[key].name


_Rule = Callable[[_Graph, _Node, list[_Value]], list[_Value]]


def _integers(node: _Node, attribute: str) -> list[int]:
    return [int(one) for one in node["attr"][attribute]["list"]["i"]]


def _text(node: _Node, attribute: str) -> bytes:
    """A string attribute; some exporters write it as base64, some as a list of bytes."""
    value = node["attr"][attribute]["s"]
    return base64.b64decode(value) if isinstance(value, str) else bytes(value)


def _known(value: _Value, node: _Node) -> Array:
    """A constant. ValueError for a shape or axis that depends on the input: we convert static graphs only."""
    if isinstance(value, _Tensor):
        raise ValueError(f"node {node['name']}: {node['op']} depends on its input")  # noqa: TRY004
    return value


def _axis(value: _Value, node: _Node) -> int:
    return int(_known(value, node))


def _elementwise(op: str, fold: Callable[..., Any]) -> _Rule:
    """An op on each element: keeps the order of its operands, or is computed now where all are constant."""

    def rule(graph: _Graph, _node: _Node, inputs: list[_Value]) -> list[_Value]:
        if not any(isinstance(one, _Tensor) for one in inputs):
            return [np.asarray(fold(*inputs))]
        is_first = any(isinstance(one, _Tensor) and one.is_channels_first for one in inputs)
        operands = [graph.channels_first(one) for one in inputs] if is_first else inputs
        return [graph.emit(op, operands, is_channels_first=is_first)]

    return rule


def _relu6(graph: _Graph, _node: _Node, inputs: list[_Value]) -> list[_Value]:
    value = inputs[0]
    bounds = [np.asarray(0, np.float32), np.asarray(6, np.float32)]
    is_first = isinstance(value, _Tensor) and value.is_channels_first
    return [graph.emit("Clip", [value, *bounds], is_channels_first=is_first)]


def _convolution(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    """Conv2D and DepthwiseConv2dNative; TensorFlow pads the odd pixel at the end, which ONNX calls SAME_UPPER."""
    if _text(node, "data_format") != b"NHWC":
        raise ValueError(f"node {node['name']}: only NHWC is supported")
    weights = _known(inputs[1], node)
    height, width, channels, multiplier = weights.shape
    is_depthwise = node["op"] == "DepthwiseConv2dNative"
    if is_depthwise:
        kernel = weights.reshape(height, width, 1, channels * multiplier).transpose(3, 2, 0, 1)
    else:
        kernel = weights.transpose(3, 2, 0, 1)
    result = graph.emit(
        "Conv",
        [graph.channels_first(inputs[0]), np.ascontiguousarray(kernel)],
        is_channels_first=True,
        auto_pad="SAME_UPPER" if _text(node, "padding") == b"SAME" else "VALID",
        group=channels if is_depthwise else 1,
        kernel_shape=[height, width],
        strides=_integers(node, "strides")[1:3],
        dilations=_integers(node, "dilations")[1:3],
    )
    return [result]


def _batch_norm(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    value, scale, offset, mean, variance = inputs
    operands = [graph.channels_first(value), scale, offset, mean, variance]
    epsilon = float(node["attr"]["epsilon"]["f"])
    return [graph.emit("BatchNormalization", operands, is_channels_first=True, epsilon=epsilon)]


def _reshape(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    shape = _known(inputs[1], node).astype(np.int64)
    value = graph.channels_last(inputs[0])
    if not isinstance(value, _Tensor):
        return [value.reshape(shape)]
    return [graph.emit("Reshape", [value, shape])]


def _shape(_graph: _Graph, _node: _Node, inputs: list[_Value]) -> list[_Value]:
    value = inputs[0]
    shape = value.shape
    if isinstance(value, _Tensor) and value.is_channels_first:
        shape = (shape[0], shape[2], shape[3], shape[1])
    return [np.asarray(shape, np.int32)]


def _strided_slice(_graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    value, begin, end, stride = (_known(one, node) for one in inputs)
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask")
    if value.ndim != 1 or int(stride[0]) != 1 or any(int(node["attr"][mask]["i"]) for mask in masks):
        raise ValueError(f"node {node['name']}: only a plain slice of a shape is supported")
    is_single = int(node["attr"]["shrink_axis_mask"]["i"]) == 1
    return [value[int(begin[0])] if is_single else value[int(begin[0]) : int(end[0])]]


def _pack(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    axis = int(node["attr"]["axis"]["i"])
    if not any(isinstance(one, _Tensor) for one in inputs):
        return [np.stack([_known(one, node) for one in inputs], axis)]
    axes = np.asarray([axis], np.int64)
    rows: list[_Value] = [graph.emit("Unsqueeze", [graph.channels_last(one), axes]) for one in inputs]
    return [graph.emit("Concat", rows, axis=axis)]


def _unpack(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    axis, count = int(node["attr"]["axis"]["i"]), int(node["attr"]["num"]["i"])
    value = graph.channels_last(inputs[0])
    if not isinstance(value, _Tensor):
        return [np.take(value, position, axis) for position in range(count)]
    return [graph.emit("Gather", [value, np.asarray(position, np.int64)], axis=axis) for position in range(count)]


def _concat(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    return [graph.emit("Concat", [graph.channels_last(one) for one in inputs[:-1]], axis=_axis(inputs[-1], node))]


def _squeeze(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    axes = np.asarray(_integers(node, "squeeze_dims"), np.int64)
    return [graph.emit("Squeeze", [graph.channels_last(inputs[0]), axes])]


def _expand_dims(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    axes = np.asarray([_axis(inputs[1], node)], np.int64)
    return [graph.emit("Unsqueeze", [graph.channels_last(inputs[0]), axes])]


def _transpose(graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    order = [int(one) for one in _known(inputs[1], node)]
    value = graph.channels_last(inputs[0])
    if not isinstance(value, _Tensor):
        return [value.transpose(order)]
    return [graph.emit("Transpose", [value], perm=order)]


def _tile(_graph: _Graph, node: _Node, inputs: list[_Value]) -> list[_Value]:
    return [np.tile(_known(inputs[0], node), _known(inputs[1], node))]


_RULES: dict[str, _Rule] = {
    "Add": _elementwise("Add", np.add),
    "AddN": _elementwise("Sum", lambda *arrays: sum(arrays)),
    "BiasAdd": _elementwise("Add", np.add),
    "Sub": _elementwise("Sub", np.subtract),
    "Mul": _elementwise("Mul", np.multiply),
    "Exp": _elementwise("Exp", np.exp),
    "Sigmoid": _elementwise("Sigmoid", lambda array: 1 / (1 + np.exp(-array))),
    "Relu6": _relu6,
    "Conv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "FusedBatchNorm": _batch_norm,
    "Reshape": _reshape,
    "Shape": _shape,
    "StridedSlice": _strided_slice,
    "Pack": _pack,
    "Unpack": _unpack,
    "ConcatV2": _concat,
    "Squeeze": _squeeze,
    "ExpandDims": _expand_dims,
    "Transpose": _transpose,
    "Tile": _tile,
}
