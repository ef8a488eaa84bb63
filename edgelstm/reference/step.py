"""Run a program over samples: the specification of the compiled entries of the same names in `kernels`."""

from importlib import import_module

import numpy as np

from edgelstm.reference import dense, gru, input_stage, lstm, row_product
from edgelstm.reference.operations import (
    ACTIVATE,
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
    LSTM_LAYER,
    MATCH,
    NARROW,
    OPERATION_COUNT,
    OPERATION_WORDS,
    OUTPUTS,
    QUANTIZE_INPUT,
    ROW_PRODUCT,
    SELDOM,
    WHEN,
    WRONG_SHAPE,
)


def bind(program, state, scratch, saturated=None):
    """Return a context, and the object that has to live as long as it is used.

    program  int32 (words,); state  int32 (streams, state_words); scratch  int32 (any rows, scratch_words)
    saturated  int64 (streams,)  raised by every sample of which a value was limited to int16; nobody's where it is not given
    """
    if saturated is None:
        saturated = np.zeros(len(state), np.int64)
    arrays = program, state, scratch[0], saturated
    return arrays, arrays


def execute_sample(context, x, y):
    """Step the only stream of a context over one sample; codes as `execute`, or WRONG_SHAPE.

    context  from `bind`;  x  float32 (inputs,);  y  float32 (outputs,)
    """
    program, state, scratch, saturated = context
    _expect_float32(x, y, dimensions=1)
    if x.shape[0] != program[INPUTS] or y.shape[0] != program[OUTPUTS] or state.shape[0] != 1:
        return WRONG_SHAPE
    return execute(program, state, scratch, saturated, x, y)


def execute_block(context, x, y):
    """Step every stream of a context over its samples; codes as `execute`, or WRONG_SHAPE.

    context  from `bind`
    x        float32 (samples * streams, inputs)   sample by sample, within it stream by stream
    y        float32 (samples * streams, outputs)
    """
    program, state, scratch, saturated = context
    _expect_float32(x, y, dimensions=2)
    if x.shape[1] != program[INPUTS] or y.shape[1] != program[OUTPUTS]:
        return WRONG_SHAPE
    if x.shape[0] != y.shape[0] or x.shape[0] % state.shape[0] != 0:
        return WRONG_SHAPE
    return execute(program, state, scratch, saturated, x.reshape(-1), y.reshape(-1))


def _expect_float32(x, y, dimensions):
    """Raise TypeError for what a compiled entry has no signature for."""
    for array in (x, y):
        if type(array) is not np.ndarray or array.dtype != np.float32 or array.ndim != dimensions:
            raise TypeError("no float32 array of the right dimensions")
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise TypeError("no writable, C-contiguous array")


def execute(program, state, scratch, saturated, x, y):
    """Step every stream over every sample; return DONE, or where `x` holds the first value that is refused.

    program  int32   (words,)                      as packed by `edgelstm.lowering.lower`
    state    int32   (streams, state_words)        read, then written
    scratch  int32   (scratch_words,)              overwritten
    saturated  int64 (streams,)                    raised where a value of a sample was limited to int16
    x        float32 (samples * streams * inputs)  sample by sample, within it stream by stream
    y        float32 (samples * streams * outputs) written

    A value anywhere in `x` that is not finite, or beyond the limits of its channel, is found before anything is changed.
    """
    finite = np.isfinite(x)
    if not finite.all():
        return int(np.argmin(finite))
    if program[LIMITS]:
        channels = int(program[INPUTS])
        least, largest = program.view(np.float32)[program[LIMITS] :][: 2 * channels].reshape(2, 1, channels)
        rows = x.reshape(-1, channels)
        inside = (rows >= least) & (rows <= largest)
        if not inside.all():
            return int(np.argmin(inside))
    samples = x.reshape(-1, state.shape[0], program[INPUTS])
    outputs = y.reshape(-1, state.shape[0], program[OUTPUTS])
    for t in range(samples.shape[0]):
        for s in range(state.shape[0]):
            saturated[s] += _step(program, state[s], scratch, samples[t, s], outputs[t, s])
    return DONE


def _step(program, state, scratch, x, y):
    """Return whether a value of the sample was limited to int16."""
    saturated = False
    words, floats, weights = program, program.view(np.float32), program.view(np.int8)
    state16, scratch16 = state.view(np.int16), scratch.view(np.int16)
    n = 0
    while n < program[OPERATION_COUNT]:
        first = FIRST_OPERATION + n * OPERATION_WORDS
        n += 1
        kind, *of = program[first : first + OPERATION_WORDS].tolist()
        if kind == QUANTIZE_INPUT:
            channels, offsets, gains, to = of[:4]
            saturated = input_stage.quantize_input(
                x, floats[offsets : offsets + channels], floats[gains : gains + channels], scratch16[to:]
            )
        elif kind == ROW_PRODUCT:
            first_weight, parameters, groups, quads, in_state, start, to, accumulate, shifted = of[:9]
            rows = groups * row_product.LANES
            row_product.row_product(
                weights[4 * first_weight :],
                words[parameters : parameters + rows],
                words[parameters + rows : parameters + 2 * rows],
                words[parameters + 2 * rows : parameters + 3 * rows],
                words[parameters + 3 * rows : parameters + 4 * rows],
                groups,
                quads,
                (state16 if in_state else scratch16)[start:],
                scratch[to:],
                accumulate,
                shifted,
                backward=0,
            )
        elif kind == LSTM_CELL:
            stride, z, cell, hidden = of[:4]
            lstm.lstm_cell(scratch[z:], stride, state[cell:], state16[hidden:])
        elif kind == LSTM_LAYER:
            stride, input_weights, input_quads, in_state, start, hidden_weights, hidden_quads = of[:7]
            hidden, parameters, shifted, cell, z = of[7:12]
            lstm.lstm_layer(
                weights[4 * input_weights :],
                input_quads,
                (state16 if in_state else scratch16)[start:],
                weights[4 * hidden_weights :],
                hidden_quads,
                state16[hidden:],
                words[parameters:],
                words[parameters + 4 * stride * lstm.GROUP_VECTORS :],
                shifted,
                stride,
                state[cell:],
                scratch[z:],
                backward=0,
            )
        elif kind == GRU_RESET:
            stride, z_inputs, z_hidden, hidden, to = of[:5]
            gru.gru_reset(scratch[z_inputs:], scratch[z_hidden:], stride, state16[hidden:], scratch16[to:])
        elif kind == GRU_CELL:
            stride, z_inputs, z_hidden, cell, hidden, reset_after = of[:6]
            gru.gru_cell(
                scratch[z_inputs:], scratch[z_hidden:], stride, reset_after, state[cell:], state16[hidden:]
            )
        elif kind == ACTIVATE:
            stride, z, activation = of[:3]
            dense.activate(scratch[z:], stride, activation)
        elif kind == NARROW:
            stride, z, bits, in_state, to = of[:5]
            dense.narrow(scratch[z:], stride, bits, (state16 if in_state else scratch16)[to:])
        elif kind == EMIT:
            units, z, scales, output = of[:4]
            dense.emit(scratch[z:], units, floats[scales:], y[output:])
        elif kind == EMIT_HALF:
            units, in_state, start, scales, output = of[:5]
            dense.emit((state16 if in_state else scratch16)[start:], units, floats[scales:], y[output:])
        elif kind == EVERY:
            counter, period, phase, operations = of[:4]
            count = int(state[counter])
            state[counter] = (count + 1) % period
            if count != phase:
                n += operations
        elif kind == LOOP:
            scratch[of[0]] = 0
        elif kind == END_LOOP:
            counter, times, operations = of[:3]
            scratch[counter] += 1
            if scratch[counter] < times:
                n -= operations
        elif kind == MATCH:
            count, channels, values, to, equal = of[:5]
            scratch16[to] = input_stage.match(
                x, words[channels : channels + count], floats[values : values + count], equal
            )
        elif kind == WHEN:
            in_state, half, operations = of[:3]
            if (state16 if in_state else scratch16)[half] == 0:
                n += operations
        else:
            module, name = SELDOM[kind]
            operation = getattr(import_module(f"edgelstm.reference.{module}"), name)
            operation(np.array(of), program, state, scratch)
    return saturated
