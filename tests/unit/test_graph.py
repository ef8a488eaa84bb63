"""Models that are no chain: layers that read several others or run now and then, and outputs of several layers."""

import dataclasses

import numpy as np
import pytest

from edgelstm import model_file
from edgelstm.errors import ModelFileError
from edgelstm.model import Model, Output
from edgelstm.model_check import check
from edgelstm.reference import step as twin
from edgelstm.stream import LoadedModel
from factories import random_layer, random_model

X = np.random.default_rng(0).normal(0, 2, (30, 3)).astype(np.float32)


def graph(layers, heads, outputs):
    """A model on three channels; `layers` are (kind, columns, units, options of the record)."""
    rng, built = np.random.default_rng(1), []
    for number, (kind, columns, units, options) in enumerate(layers):
        layer = random_layer(rng, kind, f"l{number}", columns, units)
        built.append(dataclasses.replace(layer, **options))
    named = tuple(Output(name=f"y{n}", scale=2.0**-16) for n in range(outputs))
    return dataclasses.replace(random_model(1, 3), layers=tuple(built), heads=heads, outputs=named)


BRANCHES = (
    ("lstm", 3, 5, {}),
    ("linear", 5, 2, {"sources": ("l0",)}),
    ("tanh", 3, 4, {"sources": ("input",)}),
    ("gru", 4, 6, {}),
)


def test_branches_give_what_they_give_alone():
    model = graph(BRANCHES, ("l1", "l3", "l0"), 13)
    found = LoadedModel(model).stream().run(X)
    for names, at in ((("l0", "l1"), slice(0, 2)), (("l2", "l3"), slice(2, 8)), (("l0",), slice(8, 13))):
        layers = tuple(layer for layer in model.layers if layer.name in names)
        alone = dataclasses.replace(model, layers=layers, heads=(), outputs=model.outputs[at])
        np.testing.assert_array_equal(found[:, at], LoadedModel(alone).stream().run(X))


def test_a_file_keeps_the_graph(tmp_path):
    model = graph(BRANCHES, ("l1", "l3", "l0"), 13)
    model_file.save(model, tmp_path / "graph.elstm")
    again = model_file.load(tmp_path / "graph.elstm")
    assert again.heads == model.heads
    assert [layer.sources for layer in again.layers] == [layer.sources for layer in model.layers]
    assert model_file.digest(again) == model_file.digest(model)


@pytest.mark.parametrize("phase", [0, 2])
@pytest.mark.parametrize("kind", ["linear", "tanh", "lstm", "gru_before"])
def test_a_layer_with_a_period_sees_every_so_many_samples_and_holds(kind, phase):
    slow = graph([(kind, 3, 4, {"period": 3, "phase": phase}), ("lstm", 4, 5, {})], ("l0", "l1"), 9)
    alone = dataclasses.replace(
        slow, layers=(dataclasses.replace(slow.layers[0], period=1, phase=0),), heads=()
    )
    alone = dataclasses.replace(alone, outputs=slow.outputs[:4])
    found = LoadedModel(slow).stream().run(X)
    ticks = LoadedModel(alone).stream().run(np.ascontiguousarray(X[phase::3]))
    np.testing.assert_array_equal(found[phase::3, :4], ticks)
    for late in (1, 2):
        held = found[phase + late :: 3, :4]
        np.testing.assert_array_equal(held, ticks[: len(held)])
    assert not found[:phase, :4].any()


def test_the_twin_has_the_same_bits():
    slow = tuple((kind, columns, units, {**o, "period": 2}) for kind, columns, units, o in BRANCHES)
    for layers in (BRANCHES, slow):
        loaded = LoadedModel(graph(layers, ("l1", "l3", "l0"), 13))
        state, y = loaded.program.initial_state(), np.empty((len(X), 13), np.float32)
        context, _ = twin.bind(loaded.program.words, state, loaded.program.new_scratch())
        assert twin.execute_block(context, X, y) == -1
        stream = loaded.stream()
        np.testing.assert_array_equal(stream.run(X), y)
        np.testing.assert_array_equal(stream._state, state)


WRONG = {
    "a later layer": ({"sources": ("l1",)}, r'layer "l0": reads "l1", which is no layer before it'),
    "a taken name": ({"name": "input"}, 'layer "input": the name is taken by the channels'),
    "no period": ({"period": 0}, r'layer "l0": period is 0, expected 1 to 1048576'),
    "a late phase": ({"period": 2, "phase": 2}, r'layer "l0": phase is 2, expected less than its period'),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_graph_that_cannot_run_is_refused(case):
    options, message = WRONG[case]
    with pytest.raises(ModelFileError, match=message):
        check(graph([("lstm", 3, 4, options), ("linear", 4, 2, {})], (), 2))


def test_outputs_of_no_layer_are_refused():
    model: Model = graph([("lstm", 3, 4, {})], ("l7",), 4)
    with pytest.raises(ModelFileError, match='an output is to come from "l7", which is no layer'):
        check(model)
    with pytest.raises(ModelFileError, match='layer "l0" and "l0" has 8 units but 4 outputs are named'):
        check(graph([("lstm", 3, 4, {})], ("l0", "l0"), 4))
