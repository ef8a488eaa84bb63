"""An ONNX file as a graph: everything in it is checked before it is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError, UnavailableError
from edgelstm_converters.trace.graph import Array, Graph, Input, Node, finite

MAX_BYTES = 1 << 30
"""Of a file, and of the weights beside it: what runs on a small machine has less."""


def load(path: Path) -> Any:
    """Return the model of a file, its external data loaded and its local functions inlined."""
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise UnavailableError(f"{path}: reading it needs onnx: pip install 'edgelstm[onnx]'") from None
    if path.stat().st_size > MAX_BYTES:
        raise ConversionError(f"is {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    try:
        model = onnx.load(path, load_external_data=False)
        _load_external(model.graph, path.parent.resolve(), MAX_BYTES, 0)
        onnx.checker.check_model(model)
        newest = onnx.defs.onnx_opset_version()
        for used in model.opset_import:
            if used.domain in ("", "ai.onnx") and used.version > newest:
                raise ConversionError(
                    f"is of opset {used.version}, and the onnx installed here knows up to {newest}: export it with an older one"
                )
        return onnx.inliner.inline_local_functions(model)
    except ConversionError:
        raise
    except Exception as exc:  # protobuf, the checker and the inliner have errors of their own
        reason = next(iter(str(exc).strip().splitlines()), type(exc).__name__)
        raise ConversionError(f"is damaged or no ONNX model: {reason}") from None


def _load_external(graph: Any, folder: Path, allowed: int, depth: int) -> int:
    """Read the tensors that stand in other files, which have to be in the model's own folder; return the bytes left."""
    if depth > 32:
        raise ConversionError("its subgraphs are nested more than 32 deep")
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            tensors += [attribute.t, *attribute.tensors]
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    allowed = _load_external(inner, folder, allowed, depth + 1)
    for tensor in tensors:
        if tensor.data_location == 1:
            allowed = _read_beside(tensor, folder, allowed)
    return allowed


def _read_beside(tensor: Any, folder: Path, allowed: int) -> int:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    file = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not file.is_relative_to(folder):
        raise ConversionError(
            f'weights "{tensor.name}" are said to be in "{location}", outside of the model\'s folder'
        )
    if not file.is_file():
        raise ConversionError(
            f'weights "{tensor.name}" are in "{location}", which is missing beside the model'
        )
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except ValueError:
        raise ConversionError(
            f'weights "{tensor.name}": where they are in "{location}" is no number'
        ) from None
    size = file.stat().st_size
    length = size - offset if length < 0 else length
    if offset < 0 or length < 0 or offset + length > size:
        raise ConversionError(
            f'weights "{tensor.name}" are bytes {offset} to {offset + length} of "{location}", which has {size}'
        )
    if length > allowed:
        raise ConversionError(f"its weights are more than the {MAX_BYTES:,} bytes that are read")
    with open(file, "rb") as source:
        source.seek(offset)
        tensor.raw_data = source.read(length)
    tensor.data_location = 0
    del tensor.external_data[:]
    return allowed - length


def to_graph(proto: Any, opset: int, depth: int = 0) -> Graph:
    """Return a graph and its subgraphs in our terms."""
    if depth > 32:
        raise ConversionError("its subgraphs are nested more than 32 deep")
    constants = {tensor.name: finite(tensor.name, _array(tensor)) for tensor in proto.initializer}
    for sparse in proto.sparse_initializer:
        raise ConversionError(f'weights "{sparse.values.name}" are sparse: export them dense')
    nodes = []
    for node in proto.node:
        attributes = {a.name: _attribute(a, opset, depth) for a in node.attribute}
        if node.op_type == "Constant":
            constants[node.output[0]] = np.asarray(next(iter(attributes.values())))
            continue
        if node.op_type == "Cast":
            attributes["to"] = _dtype(attributes.get("to", 1))
        nodes.append(Node(node.op_type, tuple(node.input), tuple(node.output), attributes, node.name))
    inputs = tuple(_input(value) for value in proto.input if value.name not in constants)
    return Graph(inputs, tuple(value.name for value in proto.output), tuple(nodes), constants, opset)


def _input(value: Any) -> Input:
    kind = value.type.tensor_type
    shape = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim
    )
    return Input(value.name, shape, kind.elem_type in (0, 1, 10, 11, 16))


def _array(tensor: Any) -> Array:
    from onnx import numpy_helper

    declared = int(np.prod([int(size) for size in tensor.dims], dtype=np.float64))
    if declared > MAX_BYTES:
        raise ConversionError(f'weights "{tensor.name}" are declared as {declared:,} numbers')
    try:
        array: Array = numpy_helper.to_array(tensor)
    except Exception as exc:  # whatever onnx raises for bytes and shape that disagree
        reason = next(iter(str(exc).splitlines()), type(exc).__name__)
        raise ConversionError(f'weights "{tensor.name}" cannot be read: {reason}') from None
    return array if array.dtype.kind in "fiub" else np.asarray(array, np.float32)


def _dtype(code: int) -> Any:
    from onnx import helper

    dtype = helper.tensor_dtype_to_np_dtype(code)
    return dtype if dtype.kind in "fiub" else np.dtype(np.float32)


def _attribute(attribute: Any, opset: int, depth: int) -> Any:
    from onnx import helper

    value = helper.get_attribute_value(attribute)
    if attribute.HasField("g"):
        return to_graph(attribute.g, opset, depth + 1)
    if attribute.HasField("t"):
        return _array(attribute.t)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if attribute.strings:
        return [text.decode("utf-8", "replace") for text in attribute.strings]
    return list(value) if attribute.ints or attribute.floats else value


def fold(node: Node, values: list[Any], opset: int) -> list[Any] | None:
    """Compute a node of constants with ONNX's own evaluator, or return None where it cannot."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    known = {name: np.asarray(v) for name, v in zip(node.inputs, values, strict=True) if name}
    info, dtype = onnx.helper.make_tensor_value_info, onnx.helper.np_dtype_to_tensor_dtype
    try:
        proto = onnx.helper.make_node(node.op, node.inputs, node.outputs, **node.attributes)
        graph = onnx.helper.make_graph(
            [proto], "fold",
            [info(name, dtype(v.dtype), v.shape) for name, v in known.items()],
            [info(name, onnx.TensorProto.UNDEFINED, None) for name in node.outputs if name],
        )  # fmt: skip
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        return list(ReferenceEvaluator(model).run(None, known))
    except Exception:  # the evaluator raises whatever its operators raise; such a node is simply not constant
        return None
