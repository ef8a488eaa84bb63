"""What stands between the layers of a functional model: keras.ops, and the operations on tensors that Keras 2 writes as TFOpLambda."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgelstm_converters.readers.keras_calls import Call, Settings, Tensor, tensors
from edgelstm_converters.readers.keras_layers import Builder, refused

FAR = 1 << 30
"""A bound of a slice beyond every axis."""
LEGACY = ("TFOpLambda", "SlicingOpLambda")
OF_TWO = {
    "Add": "Add",
    "Subtract": "Sub",
    "Multiply": "Mul",
    "Divide": "Div",
    "TrueDivide": "Div",
    "Power": "Pow",
}
OF_ONE = {
    "Tanh": "Tanh", "Sigmoid": "Sigmoid", "Relu": "Relu", "Absolute": "Abs", "Abs": "Abs", "Negative": "Neg",
    "Sqrt": "Sqrt", "Rsqrt": "Rsqrt", "Reciprocal": "Reciprocal", "Identity": "Identity", "Silu": "Swish",
    "Gelu": "Gelu", "Elu": "Elu", "Celu": "Celu", "Selu": "Selu", "Softplus": "Softplus", "Softsign": "Softsign", "Exp": "Exp",
    "Erf": "Erf", "Log": "Log", "LogSigmoid": "LogSigmoid", "LeakyRelu": "LeakyRelu", "HardSilu": "HardSwish", "Sin": "Sin", "Cos": "Cos",
}  # fmt: skip
OVER_AXES = {"Mean": "ReduceMean", "Sum": "ReduceSum", "Max": "ReduceMax"}
FUNCTIONS = {
    "__operators__.getitem": "GetItem", "__operators__.add": "Add", "math.add": "Add", "math.multiply": "Multiply",
    "math.subtract": "Subtract", "math.truediv": "TrueDivide", "math.reduce_mean": "Mean", "math.reduce_sum": "Sum",
    "math.reduce_max": "Max", "math.tanh": "Tanh", "math.sigmoid": "Sigmoid", "nn.relu": "Relu", "nn.tanh": "Tanh",
    "nn.sigmoid": "Sigmoid", "math.negative": "Negative", "math.abs": "Absolute", "expand_dims": "ExpandDims",
    "compat.v1.squeeze": "Squeeze", "squeeze": "Squeeze", "concat": "Concatenate", "reshape": "Reshape",
    "compat.v1.transpose": "Transpose", "transpose": "Transpose", "nn.softmax": "Softmax", "compat.v1.nn.softmax": "Softmax",
    "math.square": "Square", "nn.gelu": "Gelu", "nn.elu": "Elu", "nn.selu": "Selu", "nn.softplus": "Softplus", "math.softplus": "Softplus",
    "nn.silu": "Silu", "nn.swish": "Silu", "nn.softsign": "Softsign", "math.exp": "Exp", "math.erf": "Erf", "nn.leaky_relu": "LeakyRelu",
}  # fmt: skip
"""The operations of TensorFlow that Keras 2 names, as those of Keras 3."""


def is_operation(entry: Settings, call: Call) -> bool:
    """Whether an entry of a configuration is no layer, but an operation on tensors.

    In .h5 files it does not say so: of what both are called, a layer is given a list.
    """
    module, kind = str(entry.get("module", "")), entry["class_name"]
    if module or kind in LEGACY:
        return kind in LEGACY or ".ops" in module
    known = {*OF_TWO, *OF_ONE, *OVER_AXES, *MOVING}
    if kind in ("Add", "Subtract", "Multiply", "Concatenate"):
        return bool(call.args) and not isinstance(call.args[0], list) and len(call.args) > 1
    return kind in known - {"Reshape", "Softmax"} or (kind in known and "trainable" not in entry["config"])


def operation(build: Builder, kind: str, name: str, settings: Settings, call: Call) -> list[str]:
    """Add an operation; return the names of what it gives. Raises ConversionError, naming it, for one that is not known."""
    function = kind
    if kind in LEGACY:
        function = FUNCTIONS.get(str(settings.get("function")), "")
        kind = f"{kind}, {settings.get('function')}"
    given = {**settings, **call.kwargs}
    if function in OF_TWO:
        found = _of_two(build, OF_TWO[function], name, kind, call)
    elif function in OF_ONE:
        found = build.add(OF_ONE[function], call.sources, name, name, **_shape_of_function(function, given))
    elif function in OVER_AXES:
        axes = given.get("axis")
        wanted = (
            [] if axes is None else [build.constant(f"{name}/axes", np.array(axes, np.int64).reshape(-1))]
        )
        keepdims = int(bool(given.get("keepdims")))
        found = build.add(OVER_AXES[function], [*call.sources, *wanted], name, name, keepdims=keepdims)
    elif function in MOVING:
        found = MOVING[function](build, name, kind, given, call)
    else:
        known = ", ".join((*OF_TWO, *OF_ONE, *OVER_AXES, *MOVING))
        raise refused(name, kind, f"is an operation that cannot be converted; {known} can")
    return [found]


def _shape_of_function(function: str, given: Settings) -> dict[str, Any]:
    """Return what decides how a function looks, as the operators of ONNX name it."""
    if function == "Gelu":
        return {"approximate": "tanh" if given.get("approximate") else "none"}
    slope = given.get("negative_slope", given.get("alpha"))
    return {} if slope is None else {"alpha": float(slope)}


def _of_two(build: Builder, op: str, name: str, kind: str, call: Call) -> str:
    operands = [
        *_flat(call.args),
        *(call.kwargs[key] for key in ("x1", "x2", "x", "y") if key in call.kwargs),
    ]
    if len(operands) != 2:
        raise refused(name, kind, f"it has {len(operands)} operands, expected 2")
    names = []
    for number, operand in enumerate(operands):
        if isinstance(operand, Tensor):
            names.append(operand.name)
        else:
            names.append(build.constant(f"{name}/operand {number}", np.asarray(operand, np.float32)))
    return build.add(op, names, name, name)


def _flat(args: list[Any]) -> list[Any]:
    return args[0] if len(args) == 1 and isinstance(args[0], list) else args


def _get_item(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
    """x[...] of slices, whole numbers and an ellipsis."""
    (tensor,) = tensors(call.args)
    where = call.kwargs.get("slice_spec", call.args[1] if len(call.args) > 1 else None)
    parts = list(where) if isinstance(where, list | tuple) else [where]
    if Ellipsis in parts:
        if not tensor.rank:
            raise refused(name, kind, "how many axes it reads is not in the file")
        at, count = parts.index(Ellipsis), sum(part is not None for part in parts) - 1
        parts[at : at + 1] = [slice(None)] * (tensor.rank - count)
    if not all(isinstance(part, int | slice) for part in parts):
        raise refused(name, kind, "it is picked by something else than whole numbers and slices")
    found = tensor.name
    gone: list[int] = []
    for axis, part in enumerate(parts):
        if not isinstance(part, int | slice) or part == slice(None):
            continue
        if isinstance(part, int):
            part, gone = slice(part, part + 1 or None), [*gone, axis]
        step = 1 if part.step is None else int(part.step)
        first = (0 if step > 0 else FAR) if part.start is None else part.start
        last = (FAR if step > 0 else -FAR) if part.stop is None else part.stop
        bounds = [
            build.constant(f"{name}/{axis}/{n}", np.array([value], np.int64))
            for n, value in enumerate((first, last, axis, step))
        ]
        found = build.add("Slice", [found, *bounds], f"{name}/{axis}", name)
    if gone:
        return build.add(
            "Squeeze", [found, build.constant(f"{name}/gone", np.array(gone, np.int64))], name, name
        )
    return build.add("Identity", [found], name, name)


def _axes(op: str) -> Callable[..., str]:
    def moved(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
        axis = given.get("axis", call.args[1] if len(call.args) > 1 else None)
        axes = build.constant(f"{name}/axes", np.array(axis, np.int64).reshape(-1))
        return build.add(op, [call.sources[0], axes], name, name)

    return moved


def _reshape(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
    shape = given.get("newshape", given.get("shape", call.args[1] if len(call.args) > 1 else None))
    if shape is None or list(tensors(shape)):
        raise refused(name, kind, "its shape is computed")
    wanted = [-1 if size is None else int(size) for size in shape]
    wanted[0] = 0 if wanted[0] == -1 and wanted.count(-1) > 1 else wanted[0]
    return build.add(
        "Reshape", [call.sources[0], build.constant(f"{name}/shape", np.array(wanted, np.int64))], name, name
    )


def _transpose(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
    perm = given.get("axes", given.get("perm"))
    return build.add("Transpose", call.sources, name, name, **({} if perm is None else {"perm": list(perm)}))


def _joined(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
    axis = given.get("axis")
    return build.add("Concat", call.sources, name, name, axis=-1 if axis is None else int(axis))


def _softmax(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
    return build.add(
        "Softmax", call.sources, name, name, axis=given.get("axis") if given.get("axis") is not None else -1
    )


def _square(build: Builder, name: str, kind: str, given: Settings, call: Call) -> str:
    return build.add("Mul", call.sources * 2, name, name)


MOVING: dict[str, Callable[..., str]] = {
    "GetItem": _get_item, "ExpandDims": _axes("Unsqueeze"), "Squeeze": _axes("Squeeze"), "Reshape": _reshape,
    "Transpose": _transpose, "Concatenate": _joined, "Softmax": _softmax, "Square": _square,
}  # fmt: skip
