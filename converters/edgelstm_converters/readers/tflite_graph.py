"""The operators of TFLite in the vocabulary of ONNX (https://ai.google.dev/edge/litert/models/ops_compatibility)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.tflite_file import Operator, Subgraph, Tensor
from edgelstm_converters.trace.graph import Array, Graph, Input, Node

MAX_DEPTH = 8
SAME = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "LOGISTIC": "Sigmoid", "TANH": "Tanh", "RELU": "Relu", "NEG": "Neg",
    "FLOOR": "Floor", "LESS": "Less", "GREATER": "Greater", "LESS_EQUAL": "LessOrEqual", "GREATER_EQUAL": "GreaterOrEqual",
    "EQUAL": "Equal", "LOGICAL_AND": "And", "LOGICAL_OR": "Or", "LOGICAL_NOT": "Not", "MAXIMUM": "Max", "MINIMUM": "Min",
    "DEQUANTIZE": "Identity", "QUANTIZE": "Identity", "RESHAPE": "Reshape", "TRANSPOSE": "Transpose", "EXPAND_DIMS": "Unsqueeze",
    "SHAPE": "Shape", "SELECT_V2": "Where", "BROADCAST_TO": "Expand", "TILE": "Tile", "ADD_N": "Sum", "RANGE": "Range",
    "SQRT": "Sqrt", "POW": "Pow", "SLICE": "SliceSizes", "ZEROS_LIKE": "ZerosLike", "BATCH_MATMUL": "MatMul",
    "REVERSE_V2": "Flip",
}  # fmt: skip
FUSED: dict[int, tuple[str, dict[str, float]]] = {
    1: ("Relu", {}), 3: ("Clip", {"min": 0.0, "max": 6.0}), 4: ("Tanh", {}),
}  # fmt: skip
WITH_FUSED = {"ADD": 0, "SUB": 0, "MUL": 0, "DIV": 0, "FULLY_CONNECTED": 0, "CONCATENATION": 1}
NOTHING = ("CALL_ONCE", "ASSIGN_VARIABLE", "VAR_HANDLE")


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
        return Graph(inputs, tuple(str(n) for n in self.own.outputs), tuple(self.nodes), self.constants)

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
        inputs = [str(n) if n >= 0 else "" for n in operator.inputs]
        outputs = [str(n) for n in operator.outputs]
        if not outputs:
            raise _refused(operator, label, "it gives nothing")
        fused = operator.options.integer(WITH_FUSED[operator.op], "b") if operator.op in WITH_FUSED else 0
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
        elif op == "CONCATENATION":
            self._add("Concat", inputs, outputs, label, axis=options.integer(0))
        elif op == "SPLIT":
            axis = int(self._known(operator, 0, label).reshape(-1)[0])
            self._add("Split", inputs[1:], outputs, label, axis=axis)
        elif op == "SPLIT_V":
            axis = int(self._known(operator, 2, label).reshape(-1)[0])
            self._add("Split", inputs[:2], outputs, label, axis=axis)
        elif op == "RELU6":
            self._add("Clip", inputs, outputs, label, min=0.0, max=6.0)
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
        elif op == "READ_VARIABLE":
            shape = [size or 1 for size in self.own.tensors[operator.outputs[0]].shape]
            self.constants[outputs[0]] = np.zeros(shape, np.float32)
        elif op == "WHILE":
            cond, body = (to_graph(self.graphs, options.integer(n), self.depth + 1) for n in (0, 1))
            self._add("While", inputs, outputs, label, cond=cond, body=body)
        else:
            raise _refused(operator, label, "cannot be converted; UNIDIRECTIONAL_SEQUENCE_LSTM, FULLY_CONNECTED, "
                           "the operators that a WHILE of Keras is made of, and changes of layout can")  # fmt: skip

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
        """Inputs 1 to 4 the input's matrices (i, f, c, o), 5 to 8 the hidden one's, 9 to 11 peepholes (i, f, o), 12 to 15 biases."""
        parts = [self._known(operator, place, label) for place in range(1, 18)]
        layer_norm = [self._known(operator, place, label) for place in range(20, 24)]
        coupled = parts[0] is None  # then i = 1 - f: our cell with f's rows negated as those of i
        activation = operator.options.integer(0, "b")
        for what, present in (
            ("a projection", parts[15] is not None),
            ("layer normalisation", any(part is not None for part in layer_norm)),
            ("diagonal matrices", operator.options.integer(5, "b") != 0),
            (f"activation number {activation}", activation not in (0, 1, 4)),
            ("its input and forget gates coupled, and peepholes", coupled and parts[9] is not None),
        ):
            if present:
                raise _refused(operator, label, f"it has {what}, which cannot be converted")
        if coupled:
            for to, source_of in ((0, 1), (4, 5), (11, 12)):
                parts[to] = None if parts[source_of] is None else -parts[source_of]
        i, f, c, o = 0, 1, 2, 3
        order = (i, o, f, c)
        if any(parts[n] is None for n in range(8)):
            raise _refused(operator, label, "one of its matrices is left out")
        units = parts[4].shape[0]
        w, r = (np.concatenate([parts[first + n] for n in order])[None] for first in (0, 4))
        bias = [np.zeros(units, np.float32) if parts[11 + n] is None else parts[11 + n] for n in order]
        b = np.concatenate([*bias, np.zeros(4 * units, np.float32)])[None]
        named = [self._constant(f"{label}/{key}", v) for key, v in (("W", w), ("R", r), ("B", b))]
        peepholes = [parts[n] for n in (8, 10, 9)]  # ONNX has them in the order i, o, f
        given = [source, *named]
        if any(part is not None for part in peepholes):
            p = np.concatenate([np.zeros(units, np.float32) if part is None else part for part in peepholes])[
                None
            ]
            given += ["", "", "", self._constant(f"{label}/P", p)]
        batch_first = not operator.options.integer(3, "b")
        word = {0: "Identity", 1: "Relu", 4: "Tanh"}[activation]
        self._add(
            "LSTM", given, [f"{label}/sequence"], label, layout=int(batch_first), hidden_size=units,
            activations=["Sigmoid", word, word], cell_clip=float(operator.options.scalar(1, "f")), input_forget=int(coupled),
        )  # fmt: skip
        axis = self._constant(f"{label}/axis", np.array([2 if batch_first else 1], np.int64))
        self._add("Squeeze", [f"{label}/sequence", axis], outputs, label)


def _refused(operator: Operator, label: str, why: str) -> ConversionError:
    return ConversionError(f'operator "{label}" ({operator.op}): {why}')


def quantised(graphs: list[Subgraph]) -> bool:
    """Whether the engine itself computes in int8: then it does not give what its weights say to the last digits."""

    def is_int8(tensor: Tensor) -> bool:
        return bool(tensor.scale.size) and tensor.dtype.kind in "iu"

    return any(is_int8(tensor) for graph in graphs for tensor in graph.tensors)
