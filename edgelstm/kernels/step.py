"""The compiled entry that runs any program over any number of samples; twin in `reference/step.py`."""

import numpy as np

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.dense import activate, emit, narrow
from edgelstm.kernels.gru import gru_cell, gru_reset
from edgelstm.kernels.input_stage import quantize_input
from edgelstm.kernels.lstm import lstm_cell
from edgelstm.kernels.row_product import LANES, row_product
from edgelstm.reference.operations import (
    ACTIVATE,
    EMIT,
    EMIT_HIDDEN,
    FIRST_OPERATION,
    GRU_CELL,
    GRU_RESET,
    INPUTS,
    LSTM_CELL,
    NARROW,
    OPERATION_COUNT,
    OPERATION_WORDS,
    OUTPUTS,
    QUANTIZE_INPUT,
    ROW_PRODUCT,
)


@njit
def execute(program, state, scratch, x, y):
    """Step every stream over every sample; return -1, or where `x` holds its first non-finite value.

    program  int32   (words,)                      as packed by `edgelstm.program.lower`
    state    int32   (streams, state_words)        read, then written
    scratch  int32   (scratch_words,)              overwritten
    x        float32 (samples * streams * inputs)  sample by sample, within it stream by stream
    y        float32 (samples * streams * outputs) written

    A non-finite value anywhere in `x` is found before anything is changed.
    """
    for at in range(x.shape[0]):
        if not np.isfinite(x[at]):
            return at
    inputs, outputs, streams = program[INPUTS], program[OUTPUTS], state.shape[0]
    for row in range(x.shape[0] // inputs):
        _step(
            program,
            state[row % streams],
            scratch,
            x[row * inputs : (row + 1) * inputs],
            y[row * outputs : (row + 1) * outputs],
        )
    return -1


@njit
def _step(program, state, scratch, x, y):
    floats, weights = program.view(np.float32), program.view(np.int8)
    state16, scratch16 = state.view(np.int16), scratch.view(np.int16)
    for n in range(program[OPERATION_COUNT]):
        first = FIRST_OPERATION + n * OPERATION_WORDS
        of = program[first + 1 : first + OPERATION_WORDS]
        kind = program[first]
        if kind == ROW_PRODUCT:
            parameters, rows, start = of[1], of[2] * LANES, of[5]
            row_product(
                weights[4 * of[0] :],
                program[parameters:],
                program[parameters + rows :],
                program[parameters + 2 * rows :],
                of[2],
                of[3],
                state16[start:] if of[4] else scratch16[start:],
                scratch,
                scratch[of[6] :],
                of[7],
            )
        elif kind == LSTM_CELL:
            lstm_cell(scratch[of[2] :], of[0], of[1], state[of[3] :], state16[of[4] :])
        elif kind == GRU_RESET:
            gru_reset(scratch[of[2] :], scratch[of[3] :], of[0], of[1], state16[of[4] :], scratch16[of[5] :])
        elif kind == GRU_CELL:
            gru_cell(scratch[of[2] :], scratch[of[3] :], of[0], of[1], of[6], state[of[4] :], state16[of[5] :])
        elif kind == QUANTIZE_INPUT:
            quantize_input(x, floats[of[1] :], floats[of[2] :], scratch16[of[3] :])
        elif kind == ACTIVATE:
            activate(scratch[of[1] :], of[0], of[2])
        elif kind == NARROW:
            narrow(scratch[of[1] :], of[0], of[2], scratch16[of[3] :])
        elif kind == EMIT:
            emit(scratch[of[1] :], of[0], floats[of[2] :], y)
        elif kind == EMIT_HIDDEN:
            emit(state16[of[1] :], of[0], floats[of[2] :], y)
