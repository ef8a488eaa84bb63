"""The modules of PyTorch that hold no others, in their order: which are read, and which function follows a linear one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.modules import EXPORT_IT, Activation
from edgelstm_converters.trace.curves import function_of_node
from edgelstm_converters.trace.graph import Node

Settings = Mapping[str, Any]
ACTIVATIONS = {"ReLU": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Hardsigmoid": "hard_sigmoid_6"}
CURVES: dict[str, tuple[str, Callable[[Settings], Settings]]] = {
    "GELU": ("Gelu", lambda said: {"approximate": said.get("approximate", "none")}),
    "SiLU": ("Swish", lambda said: {}),
    "Mish": ("Mish", lambda said: {}),
    "Hardswish": ("HardSwish", lambda said: {}),
    "ELU": ("Elu", lambda said: {"alpha": said["alpha"]}),
    "CELU": ("Celu", lambda said: {"alpha": said["alpha"]}),
    "SELU": ("Selu", lambda said: {}),
    "LeakyReLU": ("LeakyRelu", lambda said: {"alpha": said["negative_slope"]}),
    "ReLU6": ("Clip", lambda said: {"min": 0.0, "max": 6.0}),
    "Hardtanh": ("Clip", lambda said: {"min": said["min_val"], "max": said["max_val"]}),
    "Softplus": ("Softplus", lambda said: {}),
    "Softsign": ("Softsign", lambda said: {}),
    "LogSigmoid": ("LogSigmoid", lambda said: {}),
    "Tanhshrink": ("TanhShrink", lambda said: {}),
    "Hardshrink": ("Shrink", lambda said: {"lambd": said["lambd"]}),
    "Softshrink": ("Shrink", lambda said: {"lambd": said["lambd"], "bias": said["lambd"]}),
}
"""The operator that computes what a class does, and its attributes, of those of the module."""
_NOTHING = ("Dropout", "Identity", "Flatten")
_PLAIN_SOFTPLUS = {"beta": 1.0, "threshold": 20.0}


def leaves(kinds: Mapping[str, str], settings: Mapping[str, Settings]) -> list[Activation]:
    """Return the activation that follows each linear module, after checking that every module is of a known class.

    kinds     the class of each module, by its name
    settings  the attributes of each module, by its name
    """
    activations: list[Activation] = []
    before = ""
    for name, kind in kinds.items():
        if kind in _NOTHING:
            continue
        if kind in ACTIVATIONS or kind in CURVES:
            if before != "Linear":
                raise ConversionError(f'module "{name}" ({kind}) follows no linear module{EXPORT_IT}')
            activations[-1] = ACTIVATIONS.get(kind) or _curve(name, kind, settings[name])
        elif kind == "Linear":
            activations.append("linear")
        elif kind not in ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"):
            raise ConversionError(
                f'module "{name}" is a {kind}; LSTM, GRU, RNN, Linear and its activation can be converted{EXPORT_IT}'
            )
        before = kind
    return activations


def _curve(name: str, kind: str, said: Settings) -> Activation:
    op, attributes = CURVES[kind]
    for word, usual in _PLAIN_SOFTPLUS.items() if kind == "Softplus" else ():
        if said.get(word) != usual:
            raise ConversionError(
                f'module "{name}" is a Softplus of {word} {said.get(word)}; with {usual:g} it can be converted{EXPORT_IT}'
            )
    try:
        return function_of_node(Node(op, ("x",), ("y",), attributes(said), name))
    except (KeyError, TypeError, ValueError) as exc:
        raise ConversionError(f'module "{name}" is a {kind} whose attributes are damaged: {exc}') from None
