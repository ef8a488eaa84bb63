"""The compiled entries that run any program over any number of samples; twins in `reference/step.py`."""

import numpy as np
from numba import types

from edgelstm.kernels import context, seldom
from edgelstm.kernels.compiled import njit
from edgelstm.kernels.context import floats_at, matrix_at, vector_at, words_at
from edgelstm.kernels.dense import activate, emit, narrow
from edgelstm.kernels.gru import gru_cell, gru_reset
from edgelstm.kernels.input_stage import match, quantize_input
from edgelstm.kernels.lanes import LANES
from edgelstm.kernels.lstm import lstm_cell
from edgelstm.kernels.python_array import READABLE, WRITEABLE, entry_point, python_object, vector_data
from edgelstm.kernels.row_product import row_product
from edgelstm.kernels.seldom import run_seldom
from edgelstm.reference.operations import (
    ACTIVATE,
    BACKWARD,
    DONE,
    EMIT,
    EMIT_HALF,
    END_LOOP,
    EVERY,
    FIRST_OPERATION,
    GRU_CELL,
    GRU_RESET,
    INPUTS,
    LIMITS,
    LOOP,
    LSTM_CELL,
    MATCH,
    NARROW,
    OPERATION_COUNT,
    OPERATION_WORDS,
    OUTPUTS,
    QUANTIZE_INPUT,
    ROW_PRODUCT,
    WHEN,
    WRONG_SHAPE,
)

__all__ = ["bind", "execute", "execute_block", "execute_python_sample", "execute_sample"]

_CODE, _CONTEXT = types.int64, types.int64
_VECTOR, _MATRIX = types.float32[::1], types.float32[:, ::1]


def bind(program, state, scratch):
    """Return a context and the object that has to live as long as it is used, once all operations are compiled.

    program  int32 (words,); state  int32 (streams, state_words); scratch  int32 (scratch_words,)
    """
    table = program[FIRST_OPERATION:][: program[OPERATION_COUNT] * OPERATION_WORDS]
    seldom.prepare({int(kind) for kind in table[::OPERATION_WORDS]})
    return context.bind(program, state, scratch)


@njit(inlined=True)
def _step(program, state, scratch, x, y):
    floats, weights = program.view(np.float32), program.view(np.int8)
    state16, scratch16 = state.view(np.int16), scratch.view(np.int16)
    scratch[BACKWARD] ^= 1
    n, operations = 0, program[OPERATION_COUNT]
    while n < operations:
        first = FIRST_OPERATION + n * OPERATION_WORDS
        n += 1
        of = program[first + 1 : first + OPERATION_WORDS]
        kind = program[first]
        if kind == ROW_PRODUCT:
            parameters, rows, start = of[1], of[2] * LANES, of[5]
            row_product(
                weights[4 * of[0] :],
                program[parameters:],
                program[parameters + rows :],
                program[parameters + 2 * rows :],
                program[parameters + 3 * rows :],
                of[2],
                of[3],
                state16[start:] if of[4] else scratch16[start:],
                scratch[of[6] :],
                of[7],
                of[8],
                scratch[BACKWARD],
            )
        elif kind == LSTM_CELL:
            lstm_cell(scratch[of[1] :], of[0], state[of[2] :], state16[of[3] :])
        elif kind == GRU_RESET:
            gru_reset(scratch[of[1] :], scratch[of[2] :], of[0], state16[of[3] :], scratch16[of[4] :])
        elif kind == GRU_CELL:
            gru_cell(scratch[of[1] :], scratch[of[2] :], of[0], of[5], state[of[3] :], state16[of[4] :])
        elif kind == QUANTIZE_INPUT:
            quantize_input(x, floats[of[1] :], floats[of[2] :], scratch16[of[3] :])
        elif kind == ACTIVATE:
            activate(scratch[of[1] :], of[0], of[2])
        elif kind == NARROW:
            narrow(scratch[of[1] :], of[0], of[2], state16[of[4] :] if of[3] else scratch16[of[4] :])
        elif kind == EMIT:
            emit(scratch[of[1] :], of[0], floats[of[2] :], y[of[3] :])
        elif kind == EMIT_HALF:
            emit(state16[of[2] :] if of[1] else scratch16[of[2] :], of[0], floats[of[3] :], y[of[4] :])
        elif kind == EVERY:
            count = state[of[0]]
            state[of[0]] = count + 1 if count + 1 < of[1] else 0
            if count != of[2]:
                n += of[3]
        elif kind == LOOP:
            scratch[of[0]] = 0
        elif kind == END_LOOP:
            scratch[of[0]] += 1
            if scratch[of[0]] < of[1]:
                n -= of[2]
        elif kind == MATCH:
            scratch16[of[3]] = match(x, program[of[1] :], floats[of[2] :], of[0], of[4])
        elif kind == WHEN:
            if (state16[of[1]] if of[0] else scratch16[of[1]]) == 0:
                n += of[2]
        else:
            run_seldom(kind, of, program, state, scratch)


@njit
def execute(program, state, scratch, x, y):
    """Step every stream over every sample; return DONE, or where `x` holds the first value that is refused.

    program  int32   (words,)                      as packed by `edgelstm.program.lower`
    state    int32   (streams, state_words)        read, then written
    scratch  int32   (scratch_words,)              overwritten
    x        float32 (samples * streams * inputs)  sample by sample, within it stream by stream
    y        float32 (samples * streams * outputs) written

    A value anywhere in `x` that is not finite, or beyond the limits of its channel, is found before anything is changed.
    """
    for at in range(x.shape[0]):
        if not np.isfinite(x[at]):
            return at
    inputs, outputs, streams = program[INPUTS], program[OUTPUTS], state.shape[0]
    if program[LIMITS]:
        limits = program.view(np.float32)[program[LIMITS] :]
        for at in range(x.shape[0]):
            if x[at] < limits[at % inputs] or x[at] > limits[inputs + at % inputs]:
                return at
    for row in range(x.shape[0] // inputs):
        _step(
            program,
            state[row % streams],
            scratch,
            x[row * inputs : (row + 1) * inputs],
            y[row * outputs : (row + 1) * outputs],
        )
    return DONE


@njit(_CODE(_CONTEXT, _VECTOR, _VECTOR))
def execute_sample(address, x, y):
    """Step the only stream of a context over one sample; codes as `execute`, or WRONG_SHAPE.

    address  the context from `bind`;  x  float32 (inputs,);  y  float32 (outputs,)
    """
    at = words_at(address)
    program, scratch = vector_at(at[0], at[1]), vector_at(at[5], at[6])
    state = matrix_at(at[2], at[3], at[4])
    if x.shape[0] != program[INPUTS] or y.shape[0] != program[OUTPUTS] or state.shape[0] != 1:
        return WRONG_SHAPE
    return execute(program, state, scratch, x, y)


@entry_point
@njit(_CODE(_CONTEXT, python_object, python_object))
def execute_python_sample(address, x, y):
    """Do as `execute_sample` with any Python objects: WRONG_SHAPE where one is no such array."""
    at = words_at(address)
    program, state = vector_at(at[0], at[1]), matrix_at(at[2], at[3], at[4])
    inputs, outputs = program[INPUTS], program[OUTPUTS]
    samples = vector_data(x, at[7], at[8], inputs, READABLE)
    results = vector_data(y, at[7], at[8], outputs, READABLE | WRITEABLE)
    if samples == 0 or results == 0 or state.shape[0] != 1:
        return WRONG_SHAPE
    scratch = vector_at(at[5], at[6])
    return execute(program, state, scratch, floats_at(samples, inputs), floats_at(results, outputs))


@njit(_CODE(_CONTEXT, _MATRIX, _MATRIX))
def execute_block(address, x, y):
    """Step every stream of a context over its samples; codes as `execute`, or WRONG_SHAPE.

    address  the context from `bind`
    x        float32 (samples * streams, inputs)   sample by sample, within it stream by stream
    y        float32 (samples * streams, outputs)
    """
    at = words_at(address)
    program, scratch = vector_at(at[0], at[1]), vector_at(at[5], at[6])
    state = matrix_at(at[2], at[3], at[4])
    if x.shape[1] != program[INPUTS] or y.shape[1] != program[OUTPUTS]:
        return WRONG_SHAPE
    if x.shape[0] != y.shape[0] or x.shape[0] % state.shape[0] != 0:
        return WRONG_SHAPE
    return execute(program, state, scratch, x.reshape(-1), y.reshape(-1))
