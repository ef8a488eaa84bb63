"""The float layers: each file holds what a family was trained as, its float path, and its quantisation.

A family is one file here and one of the same name in `edgelstm.layers`, but for `repetition`, which becomes an
affine layer, and `position`, which becomes a convolution.
"""

from edgelstm_converters.layers.affine import FloatAffine
from edgelstm_converters.layers.attention import FloatAttention
from edgelstm_converters.layers.clockwork import FloatClockwork
from edgelstm_converters.layers.conv_lstm import FloatConvLstm
from edgelstm_converters.layers.convolution import FloatConv1d, FloatPool
from edgelstm_converters.layers.curve import FloatCurve
from edgelstm_converters.layers.decoder import FloatDecoder
from edgelstm_converters.layers.dense import FloatDense
from edgelstm_converters.layers.embedding import FloatEmbedding
from edgelstm_converters.layers.float_layer import FloatLayer, Quantised
from edgelstm_converters.layers.gru import FloatGru
from edgelstm_converters.layers.lstm import FloatLstm
from edgelstm_converters.layers.masking import FloatMasking
from edgelstm_converters.layers.merge import FloatAdd, FloatConcat, FloatMultiply, FloatSelect
from edgelstm_converters.layers.normalization import FloatNormalization
from edgelstm_converters.layers.position import FloatPosition
from edgelstm_converters.layers.repetition import FloatRepeat
from edgelstm_converters.layers.rnn import FloatRnn
from edgelstm_converters.layers.sequence import FloatSequence
from edgelstm_converters.layers.sequence_to_sequence import encoder_decoder
from edgelstm_converters.layers.variational import FloatVariational, variational
from edgelstm_converters.layers.window import FloatWindow, bidirectional

__all__ = [
    "FLOAT_FAMILIES",
    "FloatAdd",
    "FloatAffine",
    "FloatAttention",
    "FloatClockwork",
    "FloatConcat",
    "FloatConv1d",
    "FloatConvLstm",
    "FloatCurve",
    "FloatDecoder",
    "FloatDense",
    "FloatEmbedding",
    "FloatGru",
    "FloatLayer",
    "FloatLstm",
    "FloatMasking",
    "FloatMultiply",
    "FloatNormalization",
    "FloatPool",
    "FloatPosition",
    "FloatRepeat",
    "FloatRnn",
    "FloatSelect",
    "FloatSequence",
    "FloatVariational",
    "FloatWindow",
    "Quantised",
    "bidirectional",
    "encoder_decoder",
    "variational",
]

_ALL: tuple[type[FloatLayer], ...] = (
    FloatLstm, FloatGru, FloatRnn, FloatDense, FloatAffine, FloatConcat, FloatSelect, FloatAdd, FloatMultiply, FloatConv1d,
    FloatPool, FloatNormalization, FloatEmbedding, FloatWindow, FloatAttention, FloatClockwork, FloatVariational,
    FloatConvLstm, FloatMasking, FloatSequence, FloatDecoder, FloatCurve,
)  # fmt: skip
FLOAT_FAMILIES: dict[str, type[FloatLayer]] = {family.kind: family for family in _ALL}
