"""A TFLite file (schema.fbs of LiteRT): tensors, constants and operators by name, nothing interpreted yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.flatbuffer import Table, root
from edgelstm_converters.trace.graph import Array, finite

MAX_BYTES = 1 << 30
MAX_RANK = 8
TYPES = {
    0: "<f4",
    1: "<f2",
    2: "<i4",
    3: "u1",
    4: "<i8",
    6: "?",
    7: "<i2",
    9: "i1",
    10: "<f8",
    12: "<u8",
    15: "<u4",
    16: "<u2",
}
OPERATORS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 6: "DEQUANTIZE", 8: "FLOOR", 9: "FULLY_CONNECTED", 14: "LOGISTIC",
    11: "L2_NORMALIZATION", 16: "LSTM", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 20: "RELU_N1_TO_1", 21: "RELU6", 22: "RESHAPE", 24: "RNN", 25: "SOFTMAX", 28: "TANH", 32: "CUSTOM",
    34: "PAD", 35: "UNIDIRECTIONAL_SEQUENCE_RNN", 36: "GATHER", 39: "TRANSPOSE", 40: "MEAN", 41: "SUB", 42: "DIV",
    43: "SQUEEZE", 44: "UNIDIRECTIONAL_SEQUENCE_LSTM", 45: "STRIDED_SLICE", 49: "SPLIT", 52: "BIDIRECTIONAL_SEQUENCE_LSTM",
    53: "CAST", 54: "PRELU", 55: "MAXIMUM", 57: "MINIMUM", 58: "LESS", 59: "NEG", 61: "GREATER", 62: "GREATER_EQUAL", 63: "LESS_EQUAL",
    65: "SLICE", 69: "TILE", 70: "EXPAND_DIMS", 71: "EQUAL", 74: "SUM", 75: "SQRT", 76: "RSQRT", 77: "SHAPE", 78: "POW",
    83: "PACK", 84: "LOGICAL_OR", 86: "LOGICAL_AND", 87: "LOGICAL_NOT", 88: "UNPACK", 92: "SQUARE", 93: "ZEROS_LIKE",
    94: "FILL", 96: "RANGE", 98: "LEAKY_RELU", 99: "SQUARED_DIFFERENCE", 101: "ABS", 102: "SPLIT_V", 105: "REVERSE_V2", 106: "ADD_N", 111: "ELU", 114: "QUANTIZE", 117: "HARD_SWISH",
    119: "WHILE", 123: "SELECT_V2", 126: "BATCH_MATMUL", 129: "CALL_ONCE", 130: "BROADCAST_TO", 142: "VAR_HANDLE",
    143: "READ_VARIABLE", 144: "ASSIGN_VARIABLE",
    4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE", 7: "EMBEDDING_LOOKUP", 23: "RESIZE_BILINEAR", 27: "SVDF", 46: "BIDIRECTIONAL_SEQUENCE_RNN",
    47: "EXP", 48: "TOPK_V2", 50: "LOG_SOFTMAX", 56: "ARG_MAX", 60: "PADV2", 64: "SELECT", 66: "SIN", 67: "TRANSPOSE_CONV", 72: "NOT_EQUAL", 91: "REDUCE_ANY",
    73: "LOG", 82: "REDUCE_MAX", 85: "ONE_HOT", 89: "REDUCE_MIN", 97: "RESIZE_NEAREST_NEIGHBOR", 100: "MIRROR_PAD", 104: "CEIL", 107: "GATHER_ND",
    108: "COS", 112: "REVERSE_SEQUENCE", 116: "ROUND", 118: "IF", 128: "CUMSUM", 131: "RFFT2D", 132: "CONV_3D", 150: "GELU",
}  # fmt: skip
"""By their number in the schema's BuiltinOperator; another one is refused by its number."""


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A value of a subgraph, `variable` where it stays for the next run. `scale` and `zero` hold one number, or one for each place along `axis`; none: not quantised."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    scale: Array
    zero: Array
    axis: int
    data: Array | None
    variable: bool = False

    def real(self) -> Array | None:
        """Return the constant as the numbers that it stands for."""
        if self.data is None or not self.scale.size or self.data.dtype.kind not in "iu":
            return self.data
        shape = [1] * self.data.ndim
        if self.scale.size > 1:
            shape[self.axis] = -1
        scale, zero = (part.astype(np.float64).reshape(shape) for part in (self.scale, self.zero))
        return finite(self.name, ((self.data - zero) * scale).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Operator:
    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table


@dataclass(frozen=True, slots=True, eq=False)
class Subgraph:
    tensors: list[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]


def load(path: Path) -> list[Subgraph]:
    """Return the subgraphs of a file, the first being the model's own."""
    if path.stat().st_size > MAX_BYTES:
        raise ConversionError(f"is {path.stat().st_size:,} bytes, more than the {MAX_BYTES:,} that are read")
    model = root(path.read_bytes(), b"TFL3")
    kinds = [max(code.integer(0, "b"), code.integer(3)) for code in model.tables(1)]
    names = [OPERATORS.get(kind, f"number {kind}") for kind in kinds]
    buffers = list(model.tables(4))
    graphs = [_subgraph(graph, names, buffers) for graph in model.tables(2)]
    if not graphs:
        raise ConversionError("holds no graph")
    return graphs


def _subgraph(graph: Table, names: list[str], buffers: list[Table]) -> Subgraph:
    tensors = [_tensor(tensor, buffers) for tensor in graph.tables(0)]
    operators = []
    for entry in graph.tables(3):
        code = entry.integer(0, "I")
        if code >= len(names):
            raise ConversionError(f"is damaged: an operator has code {code}, of {len(names)}")
        options = entry.table(4) or Table(b"\x04\0\0\0\x04\0\x04\0", 0)
        operators.append(Operator(names[code], tuple(entry.integers(1)), tuple(entry.integers(2)), options))
    found = Subgraph(tensors, tuple(graph.integers(1)), tuple(graph.integers(2)), operators)
    for number in (
        *found.inputs,
        *found.outputs,
        *(n for op in operators for n in (*op.inputs, *op.outputs)),
    ):
        if not -1 <= number < len(tensors):
            raise ConversionError(f"is damaged: tensor {number} is named, of {len(tensors)}")
    return found


def _tensor(entry: Table, buffers: list[Table]) -> Tensor:
    name, shape, kind = entry.text(3), entry.integers(0), entry.integer(1, "b")
    buffer = entry.integer(2, "I")
    if buffer >= len(buffers):
        raise ConversionError(f'is damaged: tensor "{name}" is in buffer {buffer}, of {len(buffers)}')
    dtype = np.dtype(TYPES.get(kind, "V1"))
    raw = buffers[buffer].array(0, "u1")
    data = None
    if raw.size:
        if kind not in TYPES:
            raise ConversionError(f'weights "{name}" are of type number {kind}, which cannot be read')
        if (
            any(size < 0 for size in shape)
            or int(np.prod(shape, dtype=np.float64)) * dtype.itemsize != raw.size
        ):
            raise ConversionError(
                f'weights "{name}" have {raw.size} bytes, but shape {tuple(shape)} of {dtype.name}'
            )
        data = finite(name, np.frombuffer(raw.tobytes(), dtype).reshape(shape))
        data = data.astype(np.float32) if dtype.kind == "f" else data
    elif (
        0 in shape and kind in TYPES and len(shape) <= MAX_RANK and min(shape) == 0 and max(shape) < MAX_BYTES
    ):
        data = np.zeros(shape, dtype)
    signature = entry.integers(7) or shape
    sizes = tuple(None if size < 0 else size for size in signature)
    quantisation = entry.table(4)
    scale = quantisation.array(2, "<f4") if quantisation else np.zeros(0, "<f4")
    zero = quantisation.array(3, "<i8") if quantisation else np.zeros(0, "<i8")
    axis = quantisation.integer(6) if quantisation else 0
    if zero.size != scale.size:
        zero = np.zeros(scale.size, "<i8")
    if scale.size > 1 and (axis >= len(shape) or shape[axis] != scale.size):
        raise ConversionError(f'weights "{name}" have {scale.size} scales, but shape {tuple(shape)}')
    return Tensor(name, sizes, dtype, scale, zero, axis, data, bool(entry.integer(5, "b")))
