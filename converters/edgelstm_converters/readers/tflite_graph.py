"""The operators of TFLite in the vocabulary of ONNX (https://ai.google.dev/edge/litert/models/ops_compatibility)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.tflite_cell import Cell
from edgelstm_converters.readers.tflite_file import Operator, Subgraph, Tensor
from edgelstm_converters.trace.graph import Array, Graph, Input, Node

MAX_DEPTH = 8
NORM_EPSILON = 1e-8
"""Of the layer normalisation inside of a fused LSTM (tensor_utils of LiteRT)."""
SAME = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "LOGISTIC": "Sigmoid", "TANH": "Tanh", "RELU": "Relu", "NEG": "Neg",
    "FLOOR": "Floor", "LESS": "Less", "GREATER": "Greater", "LESS_EQUAL": "LessOrEqual", "GREATER_EQUAL": "GreaterOrEqual",
    "EQUAL": "Equal", "NOT_EQUAL": "NotEqual", "REDUCE_ANY": "ReduceAny", "LOGICAL_AND": "And", "LOGICAL_OR": "Or", "LOGICAL_NOT": "Not", "MAXIMUM": "Max", "MINIMUM": "Min",
    "DEQUANTIZE": "Identity", "QUANTIZE": "Identity", "RESHAPE": "Reshape", "TRANSPOSE": "Transpose", "EXPAND_DIMS": "Unsqueeze",
    "SHAPE": "Shape", "SELECT_V2": "Where", "BROADCAST_TO": "Expand", "TILE": "Tile", "ADD_N": "Sum", "RANGE": "Range",
    "SQRT": "Sqrt", "POW": "Pow", "SLICE": "SliceSizes", "ZEROS_LIKE": "ZerosLike", "BATCH_MATMUL": "MatMul",
    "REVERSE_V2": "Flip", "RSQRT": "Rsqrt", "ABS": "Abs", "PRELU": "PRelu", "HARD_SWISH": "HardSwish",
    "ELU": "Elu", "EXP": "Exp", "LOG": "Log", "SIN": "Sin", "COS": "Cos", "SIGN": "Sign",
}  # fmt: skip
FUSED: dict[int, tuple[str, dict[str, float]]] = {
    1: ("Relu", {}), 2: ("Clip", {"min": -1.0, "max": 1.0}), 3: ("Clip", {"min": 0.0, "max": 6.0}), 4: ("Tanh", {}),
}  # fmt: skip
WITH_FUSED = {
    "ADD": 0,
    "SUB": 0,
    "MUL": 0,
    "DIV": 0,
    "FULLY_CONNECTED": 0,
    "CONCATENATION": 1,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 4,
    "AVERAGE_POOL_2D": 5,
    "MAX_POOL_2D": 5,
    "L2_NORMALIZATION": 0,
}
NOTHING = ("CALL_ONCE",)


def to_graph(graphs: list[Subgraph], number: int = 0, depth: int = 0) -> Graph:
    """Return a subgraph, and those that its control flow names, in our terms. Raises ConversionError, naming the operator."""
    if depth > MAX_DEPTH:
        raise ConversionError(f"its subgraphs are nested more than {MAX_DEPTH} deep")
    if not 0 <= number < len(graphs):
        raise ConversionError(f"is damaged: graph {number} is named, of {len(graphs)}")
    return _Translation(graphs, number, depth).graph()


class _Translation:
    def __init__(self, graphs: list[Subgraph], number: int, depth: int) -> None:
        self.graphs, self.depth, self.own = graphs, depth, graphs[number]
        self.nodes: list[Node] = []
        self.name = ""
        self.constants: dict[str, Array] = {}
        self.variables: dict[int, str] = {}
        self.kept: dict[str, Input] = {}
        self.assigned: dict[str, str] = {}
        for n, tensor in enumerate(self.own.tensors):
            if tensor.data is not None:
                value = tensor.real()
                assert value is not None
                self.constants[str(n)] = value

    def graph(self) -> Graph:
        for number, operator in enumerate(self.own.operators):
            self._operator(operator, f"{operator.op.lower()}_{number}")
        tensors = self.own.tensors
        inputs = tuple(
            Input(str(n), tensors[n].shape, tensors[n].dtype.kind in "fiu") for n in self.own.inputs
        )
        outputs = tuple(str(n) for n in self.own.outputs)
        for name, kept in self.kept.items():  # what is assigned for the next run is a state as any other
            if name in self.assigned:
                inputs, outputs = (*inputs, kept), (*outputs, self.assigned[name])
            else:
                self.constants[name] = np.zeros([size or 1 for size in kept.shape], np.float32)
        return Graph(inputs, outputs, tuple(self.nodes), self.constants, scales=_scales(tensors))

    def _variable(self, operator: Operator, label: str) -> None:
        """VAR_HANDLE names a variable; READ_VARIABLE gives what it holds, ASSIGN_VARIABLE sets what it holds from then on."""
        if operator.op == "VAR_HANDLE":
            self.variables[operator.outputs[0]] = (
                f"variable {operator.options.text(1) or operator.outputs[0]}"
            )
            return
        name = self.variables.get(operator.inputs[0])
        if name is None or self.depth:
            raise _refused(operator, label, "it is no variable of the main graph")
        if operator.op == "ASSIGN_VARIABLE":
            self.assigned[name] = str(operator.inputs[1])
            return
        number = operator.outputs[0]
        tensor = self.own.tensors[number]
        if name not in self.assigned and name not in self.kept:
            self.kept[name] = Input(name, tensor.shape, tensor.dtype.kind == "f")
        self._add("Identity", [self.assigned.get(name, name)], [str(number)], label)

    def _add(self, op: str, inputs: list[str], outputs: list[str], label: str, **attributes: Any) -> str:
        self.nodes.append(Node(op, tuple(inputs), tuple(outputs), attributes, self.name or label))
        return outputs[0]

    def _constant(self, label: str, values: Any) -> str:
        self.constants[label] = np.asarray(values)
        return label

    def _known(self, operator: Operator, place: int, label: str) -> Any:
        """Return an input that has to be a constant of the file, None where it is left out."""
        number = operator.inputs[place] if place < len(operator.inputs) else -1
        if number < 0:
            return None
        value = self.constants.get(str(number))
        if value is None:
            raise _refused(operator, label, f'its input "{self.own.tensors[number].name}" is not constant')
        return value

    def _operator(self, operator: Operator, label: str) -> None:
        name = self.own.tensors[operator.outputs[0]].name if operator.outputs else ""
        self.name = name.split(";")[0]  # of several operators that were fused into one
        label = f"{label} {self.name}".strip()
        if operator.op in NOTHING:
            return
        if operator.op in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"):
            self._variable(operator, label)
            return
        inputs = [str(n) if n >= 0 else "" for n in operator.inputs]
        outputs = [str(n) for n in operator.outputs]
        if not outputs:
            raise _refused(operator, label, "it gives nothing")
        fused = operator.options.integer(WITH_FUSED[operator.op], "b") if operator.op in WITH_FUSED else 0
        try:
            self._one(operator, label, inputs, outputs, fused)
        except (IndexError, AttributeError, KeyError, TypeError, ValueError) as exc:
            reason = next(iter(str(exc).splitlines()), type(exc).__name__)
            raise _refused(operator, label, f"its inputs do not fit together: {reason}") from None

    def _one(self, operator: Operator, label: str, inputs: list[str], outputs: list[str], fused: int) -> None:
        if fused:
            if fused not in FUSED:
                raise _refused(
                    operator,
                    label,
                    f"its fused activation number {fused} cannot be converted; relu, relu6 and tanh can",
                )
            self._plain(operator, label, inputs, [f"{label}/before"])
            op, limits = FUSED[fused]
            self._add(op, [f"{label}/before"], outputs, label, **limits)
        else:
            self._plain(operator, label, inputs, outputs)

    def _plain(self, operator: Operator, label: str, inputs: list[str], outputs: list[str]) -> None:
        op, options = operator.op, operator.options
        if op in SAME:
            if op == "TRANSPOSE":
                perm = [int(n) for n in self._known(operator, 1, label)]
                self._add("Transpose", inputs[:1], outputs, label, perm=perm)
            elif op == "RESHAPE" and len(inputs) < 2:
                self._add(
                    "Reshape",
                    [inputs[0], self._constant(f"{label}/shape", options.integers(0))],
                    outputs,
                    label,
                )
            else:
                self._add(SAME[op], inputs, outputs, label)
        elif op == "FULLY_CONNECTED":
            self._fully_connected(operator, label, inputs, outputs)
        elif op == "UNIDIRECTIONAL_SEQUENCE_LSTM":
            self._lstm(operator, label, inputs[0], outputs)
        elif op in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
            self._spatial(operator, label, inputs, outputs)
        elif op in ("SOFTMAX", "L2_NORMALIZATION"):
            if op == "SOFTMAX" and options.scalar(0, "f") != 1.0:
                raise _refused(operator, label, f"its beta is {options.scalar(0, 'f'):g}, expected 1")
            self._add("Softmax" if op == "SOFTMAX" else "LpNormalization", inputs, outputs, label, axis=-1)
        elif op == "BIDIRECTIONAL_SEQUENCE_LSTM":
            self._bidirectional_lstm(operator, label, inputs[0], outputs)
        elif op == "CONCATENATION":
            self._add("Concat", inputs, outputs, label, axis=options.integer(0))
        elif op == "SPLIT":
            axis = int(self._known(operator, 0, label).reshape(-1)[0])
            self._add("Split", inputs[1:], outputs, label, axis=axis)
        elif op == "SPLIT_V":
            axis = int(self._known(operator, 2, label).reshape(-1)[0])
            self._add("Split", inputs[:2], outputs, label, axis=axis)
        elif op in ("RELU6", "RELU_N1_TO_1"):
            low, high = (0.0, 6.0) if op == "RELU6" else (-1.0, 1.0)
            self._add("Clip", inputs, outputs, label, min=low, max=high)
        elif op == "LEAKY_RELU":
            self._add("LeakyRelu", inputs, outputs, label, alpha=float(options.scalar(0, "f")))
        elif op == "GELU":
            self._add(
                "Gelu", inputs, outputs, label, approximate="tanh" if options.integer(0, "b") else "none"
            )
        elif op == "SQUARED_DIFFERENCE":
            difference = self._add("Sub", inputs, [f"{label}/difference"], label)
            self._add("Mul", [difference, difference], outputs, label)
        elif op == "GATHER":
            self._add("Gather", inputs, outputs, label, axis=options.integer(0))
        elif op == "PACK":
            self._add("Stack", inputs, outputs, label, axis=options.integer(1))
        elif op == "UNPACK":
            self._add("Unstack", inputs, outputs, label, axis=options.integer(1))
        elif op == "SQUEEZE":
            axes = options.integers(0)
            self._add("Squeeze", inputs, outputs, label, **({"axes": axes} if axes else {}))
        elif op == "STRIDED_SLICE":
            masks = {
                key: options.integer(n)
                for n, key in enumerate(("begin", "end", "ellipsis", "new_axis", "shrink"))
            }
            self._add("StridedSlice", inputs, outputs, label, **masks)
        elif op in ("MEAN", "SUM"):
            self._add(
                "ReduceMean" if op == "MEAN" else "ReduceSum",
                inputs,
                outputs,
                label,
                keepdims=options.integer(0, "b"),
            )
        elif op == "CAST":
            self._add("Cast", inputs, outputs, label, to=self.own.tensors[operator.outputs[0]].dtype)
        elif op == "FILL":
            self._add("Expand", [inputs[1], inputs[0]], outputs, label)
        elif op == "SQUARE":
            self._add("Mul", [inputs[0], inputs[0]], outputs, label)
        elif op == "PAD":
            widths = self._known(operator, 1, label)
            self._add(
                "Pad", [inputs[0], self._constant(f"{label}/pads", widths.T.reshape(-1))], outputs, label
            )
        elif op == "WHILE":
            cond, body = (to_graph(self.graphs, options.integer(n), self.depth + 1) for n in (0, 1))
            self._add("While", inputs, outputs, label, cond=cond, body=body)
        else:
            raise _refused(operator, label, "cannot be converted; UNIDIRECTIONAL_SEQUENCE_LSTM, FULLY_CONNECTED, "
                           "the operators that a WHILE of Keras is made of, and changes of layout can")  # fmt: skip

    def _spatial(self, operator: Operator, label: str, inputs: list[str], outputs: list[str]) -> None:
        """Convolution and pooling of (batch, height, width, channels), of which height or width is 1."""
        options, deep = operator.options, operator.op == "DEPTHWISE_CONV_2D"
        convolves = deep or operator.op == "CONV_2D"
        strides = [options.integer(2), options.integer(1)]
        if convolves:
            kernel = np.asarray(self._known(operator, 1, label)).transpose(
                (3, 0, 1, 2) if deep else (0, 3, 1, 2)
            )
            size = list(kernel.shape[2:])
            dilations = [options.integer(5 + deep, "i", 1), options.integer(4 + deep, "i", 1)]
        else:
            size, dilations = [options.integer(4), options.integer(3)], [1, 1]
        same = options.integer(0, "b") == 0
        turned = self._add("Transpose", inputs[:1], [f"{label}/turned"], label, perm=[0, 3, 1, 2])
        given: dict[str, Any] = {"strides": strides, "dilations": dilations}
        given["auto_pad"] = "SAME_UPPER" if same else "VALID"
        if convolves:
            given["group"] = self.own.tensors[operator.inputs[0]].shape[3] if deep else 1
            parts = [turned, self._constant(f"{label}/kernel", kernel), *inputs[2:]]
            made = self._add("Conv", parts, [f"{label}/made"], label, **given)
        else:
            op = "AveragePool" if operator.op == "AVERAGE_POOL_2D" else "MaxPool"
            made = self._add(op, [turned], [f"{label}/made"], label, kernel_shape=size, **given)
        self._add("Transpose", [made], outputs, label, perm=[0, 2, 3, 1])

    def _fully_connected(self, operator: Operator, label: str, inputs: list[str], outputs: list[str]) -> None:
        rows = self.own.tensors[operator.inputs[1]].shape
        if operator.options.integer(1, "b"):
            raise _refused(operator, label, "its weights are shuffled")
        source = inputs[0]
        if not operator.options.integer(2, "b"):
            shape = self._constant(f"{label}/rows", np.array([-1, rows[1]], np.int64))
            source = self._add("Reshape", [source, shape], [f"{label}/flat"], label)
        turned = self._add("Transpose", [inputs[1]], [f"{label}/turned"], label, perm=[1, 0])
        biased = len(inputs) > 2 and inputs[2] != ""
        product = [f"{label}/product"] if biased else outputs
        self._add("MatMul", [source, turned], product, label)
        if biased:
            self._add("Add", [*product, inputs[2]], outputs, label)

    def _lstm(self, operator: Operator, label: str, source: str, outputs: list[str]) -> None:
        options = operator.options
        cell = Cell(
            *self._cell_inputs(operator, label, 1, range(20, 24)), activation=options.integer(0, "b"),
            cell_clip=float(options.scalar(1, "f")), projection_clip=float(options.scalar(2, "f")),
            diagonal=bool(options.integer(5, "b")),
        )  # fmt: skip
        self._lstm_node(operator, label, cell, source, outputs[0], batch_first=not options.integer(3, "b"))

    def _bidirectional_lstm(self, operator: Operator, label: str, source: str, outputs: list[str]) -> None:
        """Inputs 1 to 17 forward and 18 to 34 backward, each as of one direction; a second sequence at 39 is refused."""
        options = operator.options
        if any(n >= 0 for n in operator.inputs[39:48]):
            raise _refused(operator, label, "it reads a second sequence, which cannot be converted")
        batch_first = not options.integer(4, "b", 1)
        axis = self._constant(f"{label}/time", np.array([1 if batch_first else 0], np.int64))
        given = []
        for way, first in (("forward", 1), ("backward", 18)):
            cell = Cell(
                *self._cell_inputs(operator, label, first, range(0)), activation=options.integer(0, "b"),
                cell_clip=float(options.scalar(1, "f")), projection_clip=float(options.scalar(2, "f")),
            )  # fmt: skip
            read, made = source, f"{label}/{way}"
            if way == "backward":
                read = self._add("Flip", [source, axis], [f"{label}/turned"], label)
            self._lstm_node(operator, made, cell, read, made, batch_first=batch_first)
            given.append(
                made if way == "forward" else self._add("Flip", [made, axis], [f"{made}/aligned"], label)
            )
        if options.integer(3, "b"):
            self._add("Concat", given, outputs[:1], label, axis=-1)
        else:
            for made, name in zip(given, outputs, strict=False):
                self._add("Identity", [made], [name], label)

    def _cell_inputs(
        self, operator: Operator, label: str, first: int, norms: range
    ) -> tuple[list[Array | None], list[Array | None]]:
        return [self._known(operator, n, label) for n in range(first, first + 17)], [
            self._known(operator, n, label) for n in norms
        ]

    def _lstm_node(
        self, operator: Operator, label: str, cell: Cell, source: str, output: str, *, batch_first: bool
    ) -> None:
        why = cell.refusal()
        if why:
            raise _refused(operator, label, why)
        given = [
            source,
            *(
                self._constant(f"{label}/{key}", value) if value is not None else ""
                for key, value in cell.inputs().items()
            ),
        ]
        word = {0: "Identity", 1: "Relu", 4: "Tanh"}[cell.activation]
        self._add(
            "LSTM", given, [f"{label}/sequence"], label, layout=int(batch_first), hidden_size=cell.units,
            activations=["Sigmoid", word, word], cell_clip=cell.cell_clip, input_forget=int(cell.coupled),
            projection_clip=cell.projection_clip, norm_epsilon=NORM_EPSILON,
        )  # fmt: skip
        axis = self._constant(f"{label}/axis", np.array([2 if batch_first else 1], np.int64))
        self._add("Squeeze", [f"{label}/sequence", axis], [output], label)


def _scales(tensors: list[Tensor]) -> frozenset[float]:
    """Return what the whole numbers of 8 bits among the constants are multiplied with."""
    found: set[float] = set()
    for tensor in tensors:
        if tensor.data is not None and tensor.data.dtype.itemsize == 1 and tensor.data.ndim > 1:
            found.update(tensor.scale[(tensor.scale > 0.0) & np.isfinite(tensor.scale)].tolist())
    return frozenset(found)


def _refused(operator: Operator, label: str, why: str) -> ConversionError:
    return ConversionError(f'operator "{label}" ({operator.op}): {why}')


def quantised(graphs: list[Subgraph]) -> bool:
    """Whether the engine itself computes in int8: then it does not give what its weights say to the last digits."""

    def is_int8(tensor: Tensor) -> bool:
        return bool(tensor.scale.size) and tensor.dtype.kind in "iu"

    return any(is_int8(tensor) for graph in graphs for tensor in graph.tensors)


def keeps_states(graphs: list[Subgraph]) -> bool:
    """Whether the engine itself goes on from one run to the next, by variables or by the state tensors of fused cells."""
    return any(tensor.variable for graph in graphs for tensor in graph.tensors) or any(
        operator.op == "ASSIGN_VARIABLE" for operator in graphs[0].operators
    )
