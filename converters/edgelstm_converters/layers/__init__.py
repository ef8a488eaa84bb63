"""The float layers: each file holds what a family was trained as, its float path, and its quantisation.

A family is one file here and one of the same name in `edgelstm.layers`.
"""

from edgelstm_converters.layers.dense import FloatDense
from edgelstm_converters.layers.float_layer import FloatLayer, Quantised
from edgelstm_converters.layers.gru import FloatGru
from edgelstm_converters.layers.lstm import FloatLstm

__all__ = ["FLOAT_FAMILIES", "FloatDense", "FloatGru", "FloatLayer", "FloatLstm", "Quantised"]

FLOAT_FAMILIES: dict[str, type[FloatLayer]] = {
    family.kind: family for family in (FloatLstm, FloatGru, FloatDense)
}
