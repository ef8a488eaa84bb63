"""Layers of Keras that are neither recurrent nor dense, as operators (https://keras.io/api/layers)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.readers.keras_file import Stored


class Builder(Protocol):
    """What puts a graph together: `add` an operator, or a `node` with several outputs, keep a `constant`; `slope` is that of its hard sigmoid."""

    slope: float

    def add(self, op: str, inputs: Iterable[str], name: str, label: str, **attributes: Any) -> str: ...
    def node(
        self, op: str, inputs: Iterable[str], names: Iterable[str], label: str, **attributes: Any
    ) -> None: ...
    def constant(self, name: str, values: Any) -> str: ...


Settings = dict[str, Any]
ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
FUNCTIONS: dict[str, tuple[str, Settings]] = {
    "swish": ("Swish", {}), "silu": ("Swish", {}), "hard_swish": ("HardSwish", {}), "hard_silu": ("HardSwish", {}), "gelu": ("Gelu", {}),
    "elu": ("Elu", {}), "selu": ("Selu", {}), "celu": ("Celu", {}), "softplus": ("Softplus", {}), "softsign": ("Softsign", {}),
    "mish": ("Mish", {}), "exponential": ("Exp", {}), "log_sigmoid": ("LogSigmoid", {}), "hard_tanh": ("Clip", {"min": -1.0, "max": 1.0}),
    "soft_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}), "hard_shrink": ("Shrink", {"lambd": 0.5}), "tanh_shrink": ("TanhShrink", {}),
    "relu6": ("Clip", {"min": 0.0, "max": 6.0}), "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
}  # fmt: skip


def refused(name: str, kind: str, why: str) -> ConversionError:
    return ConversionError(f'layer "{name}" ({kind}): {why}')


def parts(name: str, kind: str, stored: Stored, biased: bool, roles: tuple[str, ...]) -> Stored:
    """Return weights by role: by their name in .h5, by their number in .keras."""
    wanted = [role for role in roles if role != "bias" or biased]
    found: Stored = {}
    for path, values in stored.items():
        last = path.rsplit("/", 1)[-1].removesuffix(":0")
        if last.isdigit():
            if int(last) < len(wanted):
                found[wanted[int(last)]] = values
        elif last in wanted:
            found[last] = values
    missing = [role for role in wanted if role not in found]
    if missing:
        raise refused(name, kind, f"its {missing[0]} is not in the file")
    return found


def word_of(activation: Any) -> str:
    """Return the name of an activation, however Keras stored it."""
    if isinstance(activation, dict):
        activation = activation.get("config", activation.get("class_name"))
        activation = activation.get("name", activation) if isinstance(activation, dict) else activation
    return "linear" if activation is None else str(activation)


def activate(build: Builder, layer: str, activation: Any, source: str, target: str) -> None:
    """Add an activation of `source` as `target`."""
    word = word_of(activation)
    if word == "linear":
        build.add("Identity", [source], target, layer)
    elif word in ACTIVATIONS:
        build.add(ACTIVATIONS[word], [source], target, layer)
    elif word in FUNCTIONS:
        op, given = FUNCTIONS[word]
        build.add(op, [source], target, layer, **given)
    elif word == "softmax":
        build.add("Softmax", [source], target, layer, axis=-1)
    elif word == "hard_sigmoid":
        build.add("HardSigmoid", [source], target, layer, alpha=build.slope, beta=0.5)
    else:
        known = ("linear", *ACTIVATIONS, *FUNCTIONS, "hard_sigmoid", "softmax")
        raise refused(layer, "activation", f"{word} cannot be converted; {', '.join(known)} can")


def _one(value: Any) -> int:
    return int(value[0] if isinstance(value, list | tuple) else value)


def channels_last(name: str, kind: str, settings: Settings) -> None:
    if settings.get("data_format", "channels_last") != "channels_last":
        raise refused(name, kind, "its channels come before time")


def _along_time(build: Builder, op: str, sources: list[str], name: str, **attributes: Any) -> str:
    """Add an operator that has time last between two transpositions; return the name of its output."""
    turned = build.add("Transpose", sources[:1], f"{name}/turned", name, perm=[0, 2, 1])
    made = build.add(op, [turned, *sources[1:]], f"{name}/made", name, **attributes)
    return build.add("Transpose", [made], f"{name}/back", name, perm=[0, 2, 1])


def _pads(name: str, kind: str, padding: str, reach: int) -> dict[str, Any]:
    if padding == "causal":
        return {"pads": [reach, 0]}
    if padding not in ("same", "valid"):
        raise refused(name, kind, f"its padding is {padding}")
    return {"auto_pad": "SAME_UPPER" if padding == "same" else "VALID"}


def conv1d(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    channels_last(name, "Conv1D", settings)
    weights = parts(name, "Conv1D", stored, bool(settings.get("use_bias", True)), ("kernel", "bias"))
    kernel = weights["kernel"].transpose(2, 1, 0)
    _convolved(
        build, name, "Conv1D", settings, sources[0], kernel, weights.get("bias"), settings.get("groups", 1)
    )


def _convolved(
    build: Builder, name: str, kind: str, settings: Settings, source: str, kernel: Any, bias: Any, groups: int
) -> None:
    """Add a convolution along time with a kernel (outputs, inputs of a group, taps), and the activation of its layer."""
    dilation, width = _one(settings.get("dilation_rate", 1)), kernel.shape[2]
    inputs = [source, build.constant(f"{name}/kernel", np.ascontiguousarray(kernel))]
    if bias is not None:
        inputs.append(build.constant(f"{name}/bias", bias))
    made = _along_time(
        build, "Conv", inputs, name, group=groups, strides=[_one(settings.get("strides", 1))], dilations=[dilation],
        **_pads(name, kind, settings.get("padding", "valid"), (width - 1) * dilation),
    )  # fmt: skip
    activate(build, name, settings.get("activation", "linear"), made, name)


def depthwise_conv1d(
    build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored
) -> None:
    """Each channel by itself: (taps, channels, outputs of each)."""
    channels_last(name, "DepthwiseConv1D", settings)
    biased = bool(settings.get("use_bias", True))
    weights = parts(
        name,
        "DepthwiseConv1D",
        stored,
        biased,
        ("depthwise_kernel" if _by_name(stored) else "kernel", "bias"),
    )
    kernel = weights.get("kernel", weights.get("depthwise_kernel"))
    assert kernel is not None
    taps, channels, each = kernel.shape
    rows = kernel.transpose(1, 2, 0).reshape(channels * each, 1, taps)
    _convolved(build, name, "DepthwiseConv1D", settings, sources[0], rows, weights.get("bias"), channels)


def separable_conv1d(
    build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored
) -> None:
    """Each channel by itself, then a matrix at each row: one convolution of both."""
    channels_last(name, "SeparableConv1D", settings)
    roles = ("depthwise_kernel", "pointwise_kernel", "bias")
    weights = parts(name, "SeparableConv1D", stored, bool(settings.get("use_bias", True)), roles)
    deep, mixed = (weights[role].astype(np.float64) for role in roles[:2])
    whole = np.einsum("kce,ceo->ock", deep, mixed[0].reshape(*deep.shape[1:], -1)).astype(np.float32)
    _convolved(build, name, "SeparableConv1D", settings, sources[0], whole, weights.get("bias"), 1)


def _by_name(stored: Stored) -> bool:
    return any("depthwise_kernel" in path for path in stored)


def _pooling(op: str) -> Callable[..., None]:
    def pool(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
        channels_last(name, op, settings)
        window = _one(settings.get("pool_size", 2))
        pads = _pads(name, op, settings.get("padding", "valid"), window - 1)
        strides = [_one(settings["strides"] or window)]
        made = _along_time(build, op, sources, name, kernel_shape=[window], strides=strides, **pads)
        build.add("Identity", [made], name, name)

    return pool


def zero_padding(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    channels_last(name, "ZeroPadding1D", settings)
    given = settings.get("padding", 1)
    first, last = given if isinstance(given, list | tuple) else (given, given)
    pads = build.constant(f"{name}/pads", np.array([0, first, 0, 0, last, 0], np.int64))
    build.add("Pad", [sources[0], pads], name, name)


def embedding(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    if settings.get("mask_zero"):
        raise refused(name, "Embedding", "it masks zeros, which cannot be converted")
    table = parts(name, "Embedding", stored, True, ("embeddings",))["embeddings"]
    build.add("Gather", [build.constant(f"{name}/table", table), sources[0]], name, name, axis=0)


def _last_axis(name: str, kind: str, settings: Settings) -> None:
    axis = settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if axis not in (-1, 2):
        raise refused(name, kind, f"it goes along axis {axis}, expected the channels")


def _normalization(op: str, roles: dict[str, str]) -> Callable[..., None]:
    """roles  the setting that says whether a weight is there, by the weight"""

    def normalise(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
        _last_axis(name, op, settings)
        wanted = tuple(role for role, setting in roles.items() if settings.get(setting, True))
        weights = parts(name, op, stored, True, wanted) if wanted else {}
        given = [build.constant(f"{name}/{role}", weights[role]) if role in weights else "" for role in roles]
        if given and not given[0] and any(given):
            given[0] = build.constant(f"{name}/one", np.ones(1, np.float32))
        while given and not given[-1]:
            given.pop()
        build.add(op, [sources[0], *given], name, name, epsilon=settings.get("epsilon", 1e-3))

    return normalise


def batch_normalization(
    build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored
) -> None:
    _last_axis(name, "BatchNormalization", settings)
    roles = {"gamma": settings.get("scale", True), "beta": settings.get("center", True)}
    wanted = (*(role for role, there in roles.items() if there), "moving_mean", "moving_variance")
    w = parts(name, "BatchNormalization", stored, True, wanted)
    deviation = np.sqrt(w["moving_variance"].astype(np.float64) + settings.get("epsilon", 1e-3))
    factor = w.get("gamma", np.float32(1.0)) / deviation
    _scale(build, name, sources[0], factor, w.get("beta", np.float32(0.0)) - w["moving_mean"] * factor)


def _scale(build: Builder, name: str, source: str, factor: Any, offset: Any) -> None:
    given = build.constant(f"{name}/factor", np.asarray(factor, np.float32))
    scaled = build.add("Mul", [source, given], f"{name}/scaled", name)
    build.add("Add", [scaled, build.constant(f"{name}/offset", np.asarray(offset, np.float32))], name, name)


def normalization(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    """What was adapted to the data, (x - mean) / max(sqrt(variance), 1e-7), or the other way round."""
    given = settings.get("mean"), settings.get("variance")
    if None in given:
        found = parts(name, "Normalization", stored, True, ("mean", "variance"))
        given = found["mean"], found["variance"]
    mean, variance = (np.asarray(value, np.float64) for value in given)
    if mean.size > 1 and mean.shape != (*[1] * (mean.ndim - 1), mean.shape[-1]):
        raise refused(name, "Normalization", f"its mean has shape {mean.shape}, expected one of each channel")
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    mean, deviation = (value.reshape(-1) if value.ndim else value for value in (mean, deviation))
    if settings.get("invert"):
        _scale(build, name, sources[0], deviation, mean)
    else:
        _scale(build, name, sources[0], 1.0 / deviation, -mean / deviation)


def rescaling(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    _scale(build, name, sources[0], settings["scale"], settings["offset"])


def _limited(
    build: Builder, label: str, source: str, target: str, *, limit: float | None, slope: float
) -> None:
    """Add a relu that is limited to 0..limit, or has a slope below 0."""
    if limit is None:
        build.add("LeakyRelu", [source], target, label, alpha=slope)
        return
    build.add("Clip", [source], target, label, min=0.0, max=limit)


def relu(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    limit, slope = settings.get("max_value"), float(settings.get("negative_slope") or 0.0)
    threshold = float(settings.get("threshold") or 0.0)
    if threshold or (slope and limit is not None):
        given = {} if limit is None else {"limit": float(limit)}
        build.add("BentRelu", [sources[0]], name, name, slope=slope, threshold=threshold, **given)
    elif limit is None and not slope:
        activate(build, name, "relu", sources[0], name)
    else:
        _limited(build, name, sources[0], name, limit=limit, slope=slope)


def leaky_relu(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    slope = float(settings["negative_slope" if "negative_slope" in settings else "alpha"])
    _limited(build, name, sources[0], name, limit=None, slope=slope)


def elu(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    build.add("Elu", sources, name, name, alpha=float(settings.get("alpha", 1.0)))


def prelu(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    slope = parts(name, "PReLU", stored, True, ("alpha",))["alpha"]
    if slope.shape[0] > 1 and (slope != slope[:1]).any():
        raise refused(
            name, "PReLU", "each sample of a window has a slope of its own: share them (shared_axes=[1])"
        )
    build.add("PRelu", [sources[0], build.constant(f"{name}/slope", slope[:1])], name, name)


def activation(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    activate(build, name, settings["activation"], sources[0], name)


def plain(op: str, **attributes: Any) -> Callable[..., None]:
    """An operator of the same meaning, an attribute of the same name taken from the layer's settings."""

    def layer(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
        own = {key: settings.get(key, value) for key, value in attributes.items()}
        build.add(op, sources, name, name, **own)

    return layer


def unit_normalization(
    build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored
) -> None:
    axis = settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    build.add("LpNormalization", sources, name, name, axis=axis, epsilon=1e-12)


def softmax(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
    _last_axis(name, "Softmax", settings)
    build.add("Softmax", sources, name, name, axis=-1)


def _merging(op: str) -> Callable[..., None]:
    def merge(build: Builder, name: str, settings: Settings, sources: list[str], stored: Stored) -> None:
        total = sources[0]
        for number, source in enumerate(sources[1:]):
            last = number == len(sources) - 2
            total = build.add(op, [total, source], name if last else f"{name}/{number}", name)

    return merge


LAYERS: dict[str, Callable[[Builder, str, Settings, list[str], Stored], None]] = {
    "Conv1D": conv1d, "DepthwiseConv1D": depthwise_conv1d, "SeparableConv1D": separable_conv1d, "Normalization": normalization, "AveragePooling1D": _pooling("AveragePool"), "MaxPooling1D": _pooling("MaxPool"),
    "ZeroPadding1D": zero_padding, "Embedding": embedding,
    "LayerNormalization": _normalization("LayerNormalization", {"gamma": "scale", "beta": "center"}),
    "RMSNormalization": _normalization("RMSNormalization", {"scale": "scale"}),
    "BatchNormalization": batch_normalization, "Rescaling": rescaling, "ReLU": relu, "LeakyReLU": leaky_relu, "ELU": elu, "PReLU": prelu, "Activation": activation,
    "Add": plain("Sum"), "Concatenate": plain("Concat", axis=-1),
    "UnitNormalization": unit_normalization, "Softmax": softmax, "Subtract": _merging("Sub"), "Multiply": _merging("Mul"),
}  # fmt: skip
