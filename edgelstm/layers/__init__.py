"""The families of layers: each file holds a family's record, its check, and its lowering to operations.

A new family is one file here, one line in the table, its operations in `kernels` and `reference` where no existing ones
serve, and its float layer in the converter. Tests go over the table.
"""

from edgelstm.layers.affine import Affine
from edgelstm.layers.attention import Attention
from edgelstm.layers.clockwork import Clockwork
from edgelstm.layers.conv_lstm import ConvLstm
from edgelstm.layers.convolution import Conv1d, Pool
from edgelstm.layers.curve import Curve
from edgelstm.layers.decoder import Decoder
from edgelstm.layers.dense import Dense
from edgelstm.layers.embedding import Embedding
from edgelstm.layers.gru import Gru
from edgelstm.layers.layer import INPUT, Layer
from edgelstm.layers.lstm import Lstm
from edgelstm.layers.masking import Masking
from edgelstm.layers.merge import Add, Concat, Multiply, Select
from edgelstm.layers.normalization import Normalization
from edgelstm.layers.products import ElementProduct, RowProduct
from edgelstm.layers.rnn import Rnn
from edgelstm.layers.sequence import SequenceLayers
from edgelstm.layers.variational import Variational
from edgelstm.layers.window import Window

__all__ = [
    "FAMILIES",
    "INPUT",
    "Add",
    "Affine",
    "Attention",
    "Clockwork",
    "Concat",
    "Conv1d",
    "ConvLstm",
    "Curve",
    "Decoder",
    "Dense",
    "ElementProduct",
    "Embedding",
    "Gru",
    "Layer",
    "Lstm",
    "Masking",
    "Multiply",
    "Normalization",
    "Pool",
    "Rnn",
    "RowProduct",
    "Select",
    "SequenceLayers",
    "Variational",
    "Window",
]

_ALL: tuple[type[Layer], ...] = (
    Lstm,
    Gru,
    Rnn,
    Dense,
    Affine,
    Concat,
    Select,
    Add,
    Multiply,
    Conv1d,
    Pool,
    Normalization,
    Embedding,
    Window,
    Attention,
    Clockwork,
    Variational,
    ConvLstm,
    Masking,
    SequenceLayers,
    Decoder,
    Curve,
)
FAMILIES: dict[str, type[Layer]] = {family.kind: family for family in _ALL}
