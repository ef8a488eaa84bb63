"""If, Loop, Scan and sequences: run as they stand, because every condition in a converted graph is a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgelstm_converters.trace.graph import Graph, Node
from edgelstm_converters.trace.layout_ops import flipped, joined, moved
from edgelstm_converters.trace.run import Traced, Value, Walk, codes_of

MAX_STEPS = 4096


def _if(walk: Walk, node: Node, inputs: list[Value], around: Mapping[str, Value]) -> list[Value]:
    if isinstance(inputs[0], Traced):
        raise node.refused("its condition depends on the signal")
    if inputs[0] is None:
        raise node.refused(
            "its condition depends on an input of the graph: say its value with --fix NAME=NUMBER"
        )
    name = "then_branch" if bool(np.asarray(inputs[0]).reshape(-1)[0]) else "else_branch"
    branch = node.attributes[name]
    walk.taken[node.outputs[0]] = name
    values = walk.run(branch, {}, around)
    return [values[name] for name in branch.outputs]


def _loop(walk: Walk, node: Node, inputs: list[Value], around: Mapping[str, Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Loop.html"""
    body: Graph = node.attributes["body"]
    limit, going, carried = inputs[0], inputs[1], list(inputs[2:])
    names = [value.name for value in body.inputs]
    scanned: list[list[Value]] = [[] for _ in body.outputs[1 + len(carried) :]]
    trips = MAX_STEPS + 1 if limit is None else int(np.asarray(limit).reshape(-1)[0])
    step = 0
    while step < trips and (going is None or _holds(node, going)):
        if step >= MAX_STEPS:
            raise node.refused(f"it runs for more than {MAX_STEPS} steps: export it with a shorter sequence")
        feeds = dict(
            zip(names, [np.array(step), np.array(True) if going is None else going, *carried], strict=True)
        )
        values = walk.run(body, feeds, around)
        going, *after = [values[name] for name in body.outputs]
        carried = after[: len(carried)]
        for rows, value in zip(scanned, after[len(carried) :], strict=True):
            rows.append(value)
        step += 1
    if scanned and step == 0:
        raise node.refused("it runs for no step at all")
    return [*carried, *[joined(rows, np.stack) for rows in scanned]]


def _holds(node: Node, condition: Value) -> bool:
    if isinstance(condition, Traced):
        raise node.refused("whether it goes on depends on the signal")
    return bool(np.asarray(condition).reshape(-1)[0])


def _scan(walk: Walk, node: Node, inputs: list[Value], around: Mapping[str, Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__Scan.html, forward along the first axes."""
    body: Graph = node.attributes["body"]
    count = node.attributes["num_scan_inputs"]
    carried, sequences = list(inputs[: len(inputs) - count]), inputs[len(inputs) - count :]
    axes = node.attributes.get("scan_input_axes", [0] * count)
    turns = node.attributes.get("scan_input_directions", [0] * count)
    sequences = [
        flipped(walk, value, [axis]) if turn else value
        for value, axis, turn in zip(sequences, axes, turns, strict=True)
    ]
    length = codes_of(sequences[0]).shape[axes[0]]
    if length > MAX_STEPS:
        raise node.refused(f"it runs for more than {MAX_STEPS} steps: export it with a shorter sequence")
    scanned: list[list[Value]] = [[] for _ in body.outputs[len(carried) :]]
    for step in range(length):
        rows = [_row(sequence, step, axis) for sequence, axis in zip(sequences, axes, strict=True)]
        values = walk.run(
            body, dict(zip([v.name for v in body.inputs], [*carried, *rows], strict=True)), around
        )
        after = [values[name] for name in body.outputs]
        carried = after[: len(carried)]
        for found, value in zip(scanned, after[len(carried) :], strict=True):
            found.append(value)
    places = node.attributes.get("scan_output_axes", [0] * len(scanned))
    turns = node.attributes.get("scan_output_directions", [0] * len(scanned))
    found = [_stacked(rows, axis) for rows, axis in zip(scanned, places, strict=True)]
    return [
        *carried,
        *[
            flipped(walk, value, [axis]) if turn else value
            for value, axis, turn in zip(found, places, turns, strict=True)
        ],
    ]


def _row(sequence: Value, step: int, axis: int) -> Value:
    return moved(sequence, lambda a: np.take(a, step, axis))


def _stacked(rows: list[Value], axis: int) -> Value:
    return joined(rows, lambda parts: np.stack(parts, axis))


def _while(walk: Walk, node: Node, inputs: list[Value], around: Mapping[str, Value]) -> list[Value]:
    """TFLite's WHILE: `cond` and `body` take and give all that is carried, and see nothing around them."""
    cond, body = node.attributes["cond"], node.attributes["body"]
    carried, step = list(inputs), 0
    while True:
        known = walk.run(cond, dict(zip([v.name for v in cond.inputs], carried, strict=True)), {})
        if not _holds(node, known[cond.outputs[0]]):
            return carried
        if step >= MAX_STEPS:
            raise node.refused(f"it runs for more than {MAX_STEPS} steps: export it with a shorter sequence")
        values = walk.run(body, dict(zip([v.name for v in body.inputs], carried, strict=True)), {})
        carried = [values[name] for name in body.outputs]
        step += 1


def _sequence(walk: Walk, node: Node, inputs: list[Value], around: Mapping[str, Value]) -> list[Value]:
    if node.op == "SequenceEmpty":
        return [[]]
    if node.op == "SequenceConstruct":
        return [list(inputs)]
    if node.op == "SplitToSequence":
        return [_split(node, inputs)]
    rows = list(inputs[0])
    if node.op == "SequenceInsert":
        place = _place(node, inputs[2]) if len(inputs) > 2 and inputs[2] is not None else len(rows)
        return [[*rows[:place], inputs[1], *rows[place:]]]
    if node.op == "SequenceAt":
        return [rows[_place(node, inputs[1])]]
    if node.op == "SequenceLength":
        return [np.array(len(rows), np.int64)]
    axis = node.attributes["axis"]
    join: Any = np.stack if node.attributes.get("new_axis", 0) else np.concatenate
    return [joined(rows, lambda parts: join(parts, axis=axis))]


def _split(node: Node, inputs: list[Value]) -> list[Value]:
    """https://onnx.ai/onnx/operators/onnx__SplitToSequence.html; rows by themselves, as unbind makes them, without their axis."""
    axis, size = node.attributes.get("axis", 0), np.shape(codes_of(inputs[0]))[node.attributes.get("axis", 0)]
    if size > MAX_STEPS:
        raise node.refused(f"it makes more than {MAX_STEPS} rows: export it with a shorter sequence")
    said = inputs[1] if len(inputs) > 1 else None
    if said is None and not node.attributes.get("keepdims", 1):
        return [_row(inputs[0], n, axis) for n in range(size)]
    each = np.asarray(1 if said is None else said)
    ends = np.cumsum(each) if each.ndim else np.arange(int(each), size, int(each))
    bounds = [0, *(int(end) for end in ends if end < size), size]
    return [
        moved(inputs[0], lambda a, part=part: np.take(a, part, axis))  # type: ignore[misc]
        for part in (np.arange(*pair) for pair in zip(bounds, bounds[1:], strict=False))
    ]


def _place(node: Node, position: Value) -> int:
    if isinstance(position, Traced):
        raise node.refused(
            "its position depends on the signal: append to the list in the loop, and stack it after the loop"
        )
    return int(np.asarray(position).reshape(-1)[0])


Control = Callable[[Walk, Node, list[Value], Mapping[str, Value]], list[Value]]
CONTROL: dict[str, Control] = {
    "If": _if, "Loop": _loop, "Scan": _scan, "While": _while,
    **dict.fromkeys(("SequenceEmpty", "SequenceConstruct", "SplitToSequence", "SequenceLength", "SequenceInsert", "SequenceAt", "ConcatFromSequence"), _sequence),
}  # fmt: skip
