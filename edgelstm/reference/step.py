"""Run a program over samples: the specification of the compiled entry of the same name in `kernels`."""

import numpy as np

from edgelstm.reference import dense, gru, input_stage, lstm, row_product
from edgelstm.reference.operations import (
    ACTIVATE,
    EMIT,
    EMIT_HIDDEN,
    FIRST_OPERATION,
    GRU_CELL,
    GRU_RESET,
    LSTM_CELL,
    NARROW,
    OPERATION_COUNT,
    OPERATION_WORDS,
    INPUTS,
    OUTPUTS,
    QUANTIZE_INPUT,
    ROW_PRODUCT,
)


def execute(program, state, scratch, x, y):
    """Step every stream over every sample; return -1, or where `x` holds its first non-finite value.

    program  int32   (words,)                      as packed by `edgelstm.program.lower`
    state    int32   (streams, state_words)        read, then written
    scratch  int32   (scratch_words,)              overwritten
    x        float32 (samples * streams * inputs)  sample by sample, within it stream by stream
    y        float32 (samples * streams * outputs) written

    A non-finite value anywhere in `x` is found before anything is changed.
    """
    finite = np.isfinite(x)
    if not finite.all():
        return int(np.argmin(finite))
    samples = x.reshape(-1, state.shape[0], program[INPUTS])
    outputs = y.reshape(-1, state.shape[0], program[OUTPUTS])
    for t in range(samples.shape[0]):
        for s in range(state.shape[0]):
            _step(program, state[s], scratch, samples[t, s], outputs[t, s])
    return -1


def _step(program, state, scratch, x, y):
    words, floats, weights = program, program.view(np.float32), program.view(np.int8)
    state16, scratch16 = state.view(np.int16), scratch.view(np.int16)
    for n in range(program[OPERATION_COUNT]):
        first = FIRST_OPERATION + n * OPERATION_WORDS
        kind, *of = program[first : first + OPERATION_WORDS].tolist()
        if kind == QUANTIZE_INPUT:
            channels, offsets, gains, to = of[:4]
            input_stage.quantize_input(
                x, floats[offsets : offsets + channels], floats[gains : gains + channels], scratch16[to:]
            )
        elif kind == ROW_PRODUCT:
            first_weight, parameters, groups, pairs, in_state, start, to, accumulate = of[:8]
            rows = groups * row_product.LANES
            row_product.row_product(
                weights[4 * first_weight :],
                words[parameters : parameters + rows],
                words[parameters + rows : parameters + 2 * rows],
                words[parameters + 2 * rows : parameters + 3 * rows],
                groups,
                pairs,
                (state16 if in_state else scratch16)[start:],
                scratch,
                scratch[to:],
                accumulate,
            )
        elif kind == LSTM_CELL:
            units, stride, z, cell, hidden = of[:5]
            lstm.lstm_cell(scratch[z:], units, stride, state[cell:], state16[hidden:])
        elif kind == GRU_RESET:
            units, stride, z_inputs, z_hidden, hidden, to = of[:6]
            gru.gru_reset(scratch[z_inputs:], scratch[z_hidden:], units, stride, state16[hidden:], scratch16[to:])
        elif kind == GRU_CELL:
            units, stride, z_inputs, z_hidden, cell, hidden, reset_after = of[:7]
            gru.gru_cell(
                scratch[z_inputs:], scratch[z_hidden:], units, stride, reset_after, state[cell:], state16[hidden:]
            )
        elif kind == ACTIVATE:
            units, z, activation = of[:3]
            dense.activate(scratch[z:], units, activation)
        elif kind == NARROW:
            units, z, bits, to = of[:4]
            dense.narrow(scratch[z:], units, bits, scratch16[to:])
        elif kind == EMIT:
            units, z, scales = of[:3]
            dense.emit(scratch[z:], units, floats[scales:], y)
        elif kind == EMIT_HIDDEN:
            units, hidden, scales = of[:3]
            dense.emit(state16[hidden:], units, floats[scales:], y)
