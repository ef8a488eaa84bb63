"""What layers say they cost, beside what a program does: the multiply-adds that the twin executes are counted."""

import numpy as np
import pytest
from layer_cases import INTEGER_CASES, MASKED, integer_model, loud

from edgelstm.reference import attention, lstm, row_product, step
from edgelstm.stream import LoadedModel

SAMPLES = 60
"""Of every period, hop and stride of the cases a multiple."""


@pytest.fixture
def executed(monkeypatch):
    """The multiply-adds that were executed, a list of numbers."""
    counted = []

    def counting(module, name, count):
        function = getattr(module, name)

        def wrapped(*arguments, **named):
            counted.append(count(*arguments))
            return function(*arguments, **named)

        monkeypatch.setattr(module, name, wrapped)

    def of_rows(weights, groups, quads):
        """Without what packing has filled up with zeros."""
        matrix = row_product.unpack_rows(weights, groups, quads)
        return int(matrix.any(axis=1).sum() * matrix.any(axis=0).sum())

    def of_layer(
        weights, quads, source, hidden_weights, hidden_quads, hidden, parameters, packed, shifted, stride, *_
    ):
        groups = 4 * stride // row_product.LANES
        return of_rows(weights, groups, quads) + of_rows(hidden_weights, groups, hidden_quads)

    counting(row_product, "row_product", lambda *of: of_rows(of[0], of[5], of[6]))
    counting(lstm, "lstm_layer", of_layer)
    counting(attention, "score_dot", lambda of, *_: of[2] * of[3])
    counting(attention, "score_additive", lambda of, *_: of[2] * of[3])
    counting(attention, "attend", lambda of, *_: of[2] * of[3])
    return counted


@pytest.mark.parametrize("case", [case for case in INTEGER_CASES if not case.startswith("masking")])
def test_a_layer_costs_what_it_says(case, executed):
    model = integer_model(case, 1, columns=16, units=48)
    program, x = LoadedModel(model).program, loud(case, 1, SAMPLES, 16)
    if case.startswith(("sequence", "decoder")):
        x[:, 0] = MASKED  # every sample ends a sequence, for which alone a decoder costs what it says
    context, _ = step.bind(program.words, program.initial_state(), program.new_scratch())
    assert step.execute_block(context, x, np.empty((SAMPLES, model.layers[-1].units), np.float32)) == -1
    assert sum(model.multiply_adds.values()) == pytest.approx(sum(executed) / SAMPLES)
