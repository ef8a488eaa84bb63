"""How a graph of sequences is a stream: which axis is time, which is the batch, what is state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, permutations
from typing import Any

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatAttention, FloatConv1d, FloatPool, FloatPosition
from edgelstm_converters.layers.float_layer import FloatRecurrent
from edgelstm_converters.taken_over import with_steps
from edgelstm_converters.trace.ahead import check_rows
from edgelstm_converters.trace.assembled import STATE, Assembled
from edgelstm_converters.trace.assembly import assemble
from edgelstm_converters.trace.beside import no_state, spread
from edgelstm_converters.trace.clocks import EVERY_SAMPLE, Clock
from edgelstm_converters.trace.expressions import (
    EXPRESSION,
    MAX_ELEMENTS,
    TIME,
    Codes,
    Expression,
    is_constant,
    relative,
    time_of,
)
from edgelstm_converters.trace.graph import Graph, Input
from edgelstm_converters.trace.run import NoStream, Traced, Walk, WrongAxis, codes_of

MOST_INPUTS, MOST_ORDERS, MOST_OF_BATCH = 5, 48, 1024
"""Tried as the signal; orders of outputs tried as that of the states."""
STEPS, LONGER = 6, (64, 256)
"""Of a sequence whose length is free: enough for a loop to settle, few enough to be quick; and where attention reads all of it."""

Fold = Callable[[Any, list[Any], int], list[Any] | None]


@dataclass(frozen=True, slots=True)
class Axes:
    """Of the signal: `time` is None for a graph that takes one sample; all other axes hold the channels."""

    time: int | None
    batch: int | None


class OpenLength(ConversionError):
    """What goes over all samples of a sequence is in a graph that does not say how many those are."""


ONE_VALUE = Axes(1, 0)
"""Of a signal of two axes: one value a sample, as what chooses the row of a table."""
CHANNELS_FIRST = Axes(2, 0)
"""Of a signal of three axes: the channels in front of the samples, as convolutions of PyTorch have them."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """A model, and how the graph that it was read from is fed.

    shape   of the signal: sizes, the length of time included; `free` where the length may be another
    states  names and shapes of what the caller carries
    outputs  which outputs of the graph are the model's, and how many values each has
    order   which outputs become the states, in their order
    left_out  what else the graph gives, by name, and why the model does not
    clock   at which samples the outputs come
    fixed   what is given besides, at every run
    longest  the most samples that graph and model give the same for; None where there is no end
    start   the value inside the graph that the model begins at, None for the signal itself; `start_time` is its axis of time
    """

    model: FloatModel
    signal: str
    axes: Axes
    shape: tuple[int, ...]
    free: bool
    states: dict[str, tuple[int, ...]]
    start: str | None = None
    start_time: int | None = None
    outputs: tuple[tuple[int, int], ...] = ()
    order: tuple[int, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    taken: Mapping[str, str] = field(default_factory=dict)
    longest: int | None = None
    clock: Clock = EVERY_SAMPLE
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def carried(self) -> str:
        """What of the graph says that its state goes on from sample to sample; "" where nothing does."""
        if self.order:
            states = f"{len(self.order)} states go" if len(self.order) > 1 else "state goes"
            return f"its {states} in and out at every run"
        return "it takes one sample a run" if self._steps == 1 and not self.free else ""

    @property
    def length(self) -> int | None:
        """How many samples its sequences always have; None where they may have any number, or it takes a sample at a time."""
        return self._steps if self._steps > 1 and not self.free and self.start is None else None

    @property
    def _steps(self) -> int:
        return 1 if self.axes.time is None else self.shape[self.axes.time]

    def told(self, proof: str) -> str:
        """Return the line of proof, and what of the graph is no part of the model."""
        parts = [f'output "{name}" ({why})' for name, why in self.left_out.items() if why != STATE]
        return f"{proof}; left out: {', '.join(parts)}" if parts else proof


def read_stream(
    graph: Graph,
    fixed: Mapping[str, Any],
    fold: Fold,
    channels: int | None,
    start: str | None = None,
    window: int | None = None,
    *,
    known: Axes | None = None,
) -> Stream:
    """Return the layers of a graph, its first input being the signal and other floats its states.

    fixed     values of inputs that are no signal and no state; of a signal, how many channels it has
    channels  how many there are, where the graph leaves it open
    start     the value that the model begins at; what computes it is left out
    window    how many samples it will be run over, where that is known: all that attention without an end reads then
    known     which axes are time and batch, where the format says it
    Raises ConversionError, naming the node, for what no stream of samples can compute.
    """
    widths = {value.name: int(fixed[value.name]) for value in graph.inputs if _is_width(value, fixed)}
    fixed = {name: value for name, value in fixed.items() if name not in widths}
    free = [value for value in graph.inputs if value.name not in fixed]
    for name in fixed:
        if name not in {value.name for value in graph.inputs}:
            raise ConversionError(
                f'--fix names "{name}"; the inputs are {", ".join(v.name for v in graph.inputs)}'
            )
    fixed = spread(graph.inputs, fixed)
    if not free or not graph.outputs:
        raise ConversionError("the graph has no input or no output")
    found: list[Stream] = []
    errors: list[ConversionError] = []
    for signal in _signals(free):
        others = [value for value in free if value is not signal]
        for axes in _ways(signal) if known is None else (known,):
            if found and ((axes == ONE_VALUE and len(signal.shape) == 2) or axes == CHANNELS_FIRST):
                break
            try:
                width = widths.get(signal.name, channels)
                read = partial(_read, graph, [signal, *others], fixed, fold, width, axes, start)
                stream = _bounded(read, window)
            except NoStream:
                raise
            except OpenLength:
                raise
            except ConversionError as exc:
                errors.append(exc)
                continue
            if _over_time(stream.model) and channels in (None, stream.model.inputs):
                return stream
            found.append(stream)
        if found:
            break
    named = next((exc for exc in errors if not isinstance(exc, WrongAxis)), None)
    if named is not None or not found:
        raise no_state(graph, free, named or errors[0])
    return max(found, key=lambda stream: (channels in (None, stream.model.inputs), _over_time(stream.model)))


def _is_width(value: Input, fixed: Mapping[str, Any]) -> bool:
    """Whether one number is said of an input that holds many: how many channels it has, where the graph leaves that open."""
    open_ = value.is_float and len(value.shape) > 1 and None in value.shape
    return open_ and value.name in fixed and np.size(fixed[value.name]) == 1


def _signals(free: list[Input]) -> list[Input]:
    """Return the inputs that may be the signal, the likeliest first: some exporters put states in front."""
    return [free[0], *(value for value in free[1:MOST_INPUTS] if value.is_float and len(value.shape) > 1)]


def _over_time(model: FloatModel) -> int:
    kinds = FloatRecurrent | FloatConv1d | FloatPool
    return sum(isinstance(layer, kinds) or _reach(layer) > 1 for layer in model.layers)


def _ways(signal: Input) -> Iterator[Axes]:
    """Yield what the axes may be, the likeliest first."""
    rank = len(signal.shape)
    if rank < 2:
        raise ConversionError(f'input "{signal.name}" has {rank} axes, expected time, batch and channels')
    if rank == 2:
        yield from (Axes(0, None), Axes(None, 0), ONE_VALUE)
        return
    ways = [Axes(0, 1), Axes(1, 0)]
    yield from sorted(ways, key=lambda axes: signal.shape[axes.time or 0] == 1)
    yield Axes(0, None)
    if rank == 3:
        yield CHANNELS_FIRST


def _bounded(read: Callable[[int], Stream], window: int | None) -> Stream:
    """Read a graph whose memory ends somewhere: run on more samples where attention reads all of a few.

    read  traces the graph over so many samples
    """
    for steps in (STEPS, *((window,) if window else LONGER)):
        stream = read(steps)
        reaching = next((layer.name for layer in stream.model.layers if _reach(layer) >= steps), None)
        if not stream.free or reaching is None:
            return stream
    if window:
        return replace(stream, longest=window)
    raise NoStream(
        f'layer "{reaching}" goes over all samples so far, as attention and positions do, and a stream has no end: say --window N, the samples that it is '
        "run over, as in training; or export it with a sequence of that length, or with a mask to so many samples"
    )


def _reach(layer: Any) -> int:
    if isinstance(layer, FloatPosition):
        return layer.count
    return layer.window if isinstance(layer, FloatAttention) else 0


def _read(
    graph: Graph,
    inputs: list[Input],
    fixed: Mapping[str, Any],
    fold: Fold,
    channels: int | None,
    axes: Axes,
    start: str | None,
    steps: int,
) -> Stream:
    signal = inputs[0]
    shape = _sizes(signal, axes, channels, steps)
    begun: list[int | None] = []

    def begin(inner: tuple[int, ...]) -> Traced:
        steps = 1 if axes.time is None else shape[axes.time]
        time = next((axis for axis in (0, 1) if inner[axis : axis + 1] == (steps,) and steps > 1), None)
        begun.append(time)
        return Traced(_signal(walk, str(start), inner, Axes(time, None)))

    walk = Walk(fold=fold, opset=graph.opset, start=start, begin=begin)
    feeds: dict[str, Any] = dict(fixed)
    feeds[signal.name] = (
        np.zeros(shape, np.float32) if start else Traced(_signal(walk, signal.name, shape, axes))
    )
    states = {}
    for value in inputs[1:]:
        if value.is_float:
            states[value.name] = tuple(1 if size is None else size for size in value.shape)
            if math.prod(states[value.name]) > MAX_ELEMENTS:
                raise ConversionError(
                    f'input "{value.name}" has shape {states[value.name]}, more than any state'
                )
            feeds[value.name] = Traced(_state(walk, value.name, states[value.name]))
    values, outputs, failed = _run(walk, graph, feeds, begun)
    if start and len(begun) != 1:
        raise ConversionError(
            f'--from names "{start}", which is no value of the graph that its output depends on'
        )
    found, own, order = _assembled(
        walk, [values[name] for name in outputs], [feeds[name] for name in states], outputs
    )
    after = {np.shape(codes_of(values[outputs[n]])) for n in order if isinstance(values[outputs[n]], Traced)}
    is_first = signal is next(value for value in graph.inputs if value.name not in fixed)
    if not is_first and not after.issuperset(states.values()):
        raise WrongAxis(f'input "{signal.name}" is no signal: nothing becomes of the inputs in front of it')
    free = axes.time is not None and signal.shape[axes.time] is None
    if free and walk.expressions.over_all:
        raise OpenLength(
            f'layer "{walk.expressions.over_all[0]}" goes over all samples of a sequence, and the input does not say how many: save '
            "the model with the length of its windows in the shape of its input"
        )
    if axes.time is not None and not free:
        check_rows(found.model.layers, shape[axes.time])
    left_out = {outputs[own[n]]: why for n, why in found.left_out.items()}
    units = {layer.name: layer.units for layer in found.model.layers}
    widths = [units[head] for head in found.model.head_names]
    products = [each.detail for each in walk.expressions.table if each.kind == "matmul"]
    model = with_steps(found.model, walk.scales, products)
    return Stream(
        model, signal.name, axes, shape, free, states, start, begun[0] if begun else None,
        tuple((own[n], width) for n, width in zip(found.kept, widths, strict=True)), order, {**left_out, **failed}, walk.taken,
        clock=found.clock, fixed=fixed,
    )  # fmt: skip


def _run(
    walk: Walk, graph: Graph, feeds: Mapping[str, Any], begun: list[int | None]
) -> tuple[dict[str, Any], tuple[str, ...], dict[str, str]]:
    """Return the values, the outputs that are known, and why others are not: the first has to be.

    begun  where the model began in this run
    """
    try:
        return walk.run(graph, feeds, {}), graph.outputs, {}
    except ConversionError as exc:
        if len(graph.outputs) == 1:
            raise
        walk.depth, why = 0, str(exc)
        begun.clear()
    first = graph.outputs[:1]
    values = walk.run(Graph(graph.inputs, first, graph.nodes, graph.constants, graph.opset), feeds, {})
    return values, first, dict.fromkeys(graph.outputs[1:], why)


def _assembled(
    walk: Walk, values: list[Any], states: list[Traced], names: tuple[str, ...]
) -> tuple[Assembled, tuple[int, ...], tuple[int, ...]]:
    """Return the model, which of the outputs may be its own, and which become the states: the first order that makes sense."""
    errors: list[ConversionError] = []
    for own, order in islice(_orders(values, states), MOST_ORDERS):
        if not isinstance(values[own[0]], Traced):
            errors.append(ConversionError(f'output "{names[own[0]]}" does not depend on the signal'))
            continue
        rows = [codes_of(values[n]) for n in own]
        carried = _carried([values[n] for n in order], states, int(time_of(rows[0]).max()))
        try:
            return assemble(walk.expressions, rows, carried), own, order
        except ConversionError as exc:
            errors.append(exc)
    raise errors[0]


def _orders(values: list[Any], states: list[Traced]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield which outputs may be the model's own, and which the states, in shapes that fit; the last are states at first."""
    shapes = [np.shape(value.codes if isinstance(value, Traced) else value) for value in values]
    wanted = [state.codes.shape for state in states]
    count = min(len(states), len(values) - 1)
    cut = len(values) - count
    last = tuple(range(cut)), tuple(range(cut, len(values)))
    if shapes[cut:] == wanted:
        yield last
    if count == len(states):
        for order in permutations(range(len(values)), count):
            if [shapes[n] for n in order] == wanted:
                yield tuple(n for n in range(len(values)) if n not in order), order
    yield last


def _sizes(signal: Input, axes: Axes, channels: int | None, steps: int) -> tuple[int, ...]:
    sizes = []
    for axis, size in enumerate(signal.shape):
        if size is None:
            size = steps if axis == axes.time else 1 if axis == axes.batch else channels
        if size is None:
            raise ConversionError(f'input "{signal.name}" does not say how many channels it has')
        sizes.append(size)
    if axes.time is not None and sizes[axes.time] >= 1 << 15:
        raise ConversionError(
            f'input "{signal.name}" has {sizes[axes.time]} samples: export a shorter sequence'
        )
    if axes.batch is not None and sizes[axes.batch] > MOST_OF_BATCH:
        raise WrongAxis(f'input "{signal.name}" has a batch of {sizes[axes.batch]}: export it with one of 1')
    if math.prod(sizes) > MAX_ELEMENTS:
        raise ConversionError(
            f'input "{signal.name}" has {math.prod(sizes):,} numbers: export a shorter sequence'
        )
    return tuple(sizes)


def _signal(walk: Walk, name: str, shape: tuple[int, ...], axes: Axes) -> Codes:
    """Return the codes of the signal: its channels at every step, the same for each of the batch."""
    kept = [size if axis not in (axes.time, axes.batch) else 1 for axis, size in enumerate(shape)]
    size = int(np.prod(kept))
    number = walk.expressions.add(Expression("input", size, (), name, name))
    codes = number * EXPRESSION + np.arange(size, dtype=np.int64).reshape(kept)
    steps = np.ones([1] * len(shape), np.int64)
    if axes.time is not None:
        steps = np.arange(1, shape[axes.time] + 1).reshape(
            [-1 if axis == axes.time else 1 for axis in range(len(shape))]
        )
    return np.ascontiguousarray(np.broadcast_to(codes + steps * TIME, shape))


def _state(walk: Walk, name: str, shape: tuple[int, ...]) -> Codes:
    size = int(np.prod(shape))
    number = walk.expressions.add(Expression("state", size, (), name, name))
    return (number * EXPRESSION + np.arange(size, dtype=np.int64)).reshape(shape)


def _carried(after: list[Any], before: list[Any], last: int) -> dict[int, int]:
    """Return the state's element that an element becomes, both relative to the last step; outputs are in order of inputs."""
    carried: dict[int, int] = {}
    for new, old in zip(after, before, strict=False):
        a, b = codes_of(new).reshape(-1), codes_of(old).reshape(-1)
        if a.shape == b.shape and not is_constant(a).any():
            carried.update(zip(relative(a, last).tolist(), relative(b, last).tolist(), strict=True))
    return carried
