"""The operations that most programs have, as the entries call them: for every row of a context.

`of` is the address of an operation's words, which `reference/operations.py` lists.
"""

from edgelstm.kernels.compiled import njit
from edgelstm.kernels.context import (
    BACKWARD,
    PROGRAM,
    ROWS,
    SATURATED,
    SCRATCH,
    SCRATCH_BYTES,
    STATE,
    STATE_BYTES,
    words_at,
)
from edgelstm.kernels.context import INPUTS as INPUTS_WORD
from edgelstm.kernels.context import OUTPUTS as OUTPUTS_WORD
from edgelstm.kernels.context import X as X_WORD
from edgelstm.kernels.context import Y as Y_WORD
from edgelstm.kernels.dense import activate, emit, narrow
from edgelstm.kernels.gru import gru_cell, gru_reset
from edgelstm.kernels.input_stage import match, quantize_input
from edgelstm.kernels.lanes import LANES
from edgelstm.kernels.lstm import lstm_cell, lstm_layer
from edgelstm.kernels.places import bytes_at, floats_at, halves_at, ints_at
from edgelstm.kernels.row_product import row_product
from edgelstm.kernels.seldom import usual
from edgelstm.reference.lstm import GROUP_VECTORS
from edgelstm.reference.operations import (
    ACTIVATE,
    EMIT,
    EMIT_HALF,
    GRU_CELL,
    GRU_RESET,
    LSTM_CELL,
    LSTM_LAYER,
    MATCH,
    NARROW,
    QUANTIZE_INPUT,
    ROW_PRODUCT,
)


@njit(inlined=True)
def _state(at, row):
    return at[STATE] + row * at[STATE_BYTES]


@njit(inlined=True)
def _scratch(at, row):
    return at[SCRATCH] + row * at[SCRATCH_BYTES]


@njit(inlined=True)
def _state_or_scratch(at, row, in_state):
    return _state(at, row) if in_state else _scratch(at, row)


@usual(QUANTIZE_INPUT)
def _quantize_input(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        saturated = quantize_input(
            floats_at(at[X_WORD] + 4 * row * at[INPUTS_WORD]),
            of[0],
            floats_at(at[PROGRAM] + 4 * of[1]),
            floats_at(at[PROGRAM] + 4 * of[2]),
            halves_at(_scratch(at, row) + 2 * of[3]),
        )
        if saturated:
            words_at(at[SATURATED])[row] += 1


@usual(ROW_PRODUCT)
def _row_product(of, context):
    of, at = ints_at(of), words_at(context)
    program, vector_bytes = at[PROGRAM], 4 * LANES * of[2]
    row_product(
        bytes_at(program + 4 * of[0]),
        ints_at(program + 4 * of[1]),
        ints_at(program + 4 * of[1] + vector_bytes),
        ints_at(program + 4 * of[1] + 2 * vector_bytes),
        ints_at(program + 4 * of[1] + 3 * vector_bytes),
        of[2],
        of[3],
        halves_at(_state_or_scratch(at, 0, of[4]) + 2 * of[5]),
        ints_at(at[SCRATCH] + 4 * of[6]),
        of[7],
        of[8],
        at[BACKWARD],
        at[ROWS],
        (at[STATE_BYTES] if of[4] else at[SCRATCH_BYTES]) >> 1,
        at[SCRATCH_BYTES] >> 2,
    )


@usual(LSTM_CELL)
def _lstm_cell(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        state = _state(at, row)
        lstm_cell(
            ints_at(_scratch(at, row) + 4 * of[1]),
            of[0],
            ints_at(state + 4 * of[2]),
            halves_at(state + 2 * of[3]),
        )


@usual(LSTM_LAYER)
def _lstm_layer(of, context):
    of, at = ints_at(of), words_at(context)
    program, stride = at[PROGRAM], of[0]
    parameters = program + 4 * of[8]
    lstm_layer(
        bytes_at(program + 4 * of[1]),
        of[2],
        halves_at(_state_or_scratch(at, 0, of[3]) + 2 * of[4]),
        bytes_at(program + 4 * of[5]),
        of[6],
        halves_at(at[STATE] + 2 * of[7]),
        ints_at(parameters),
        ints_at(parameters + 16 * stride * GROUP_VECTORS),
        of[9],
        stride,
        ints_at(at[STATE] + 4 * of[10]),
        ints_at(at[SCRATCH] + 4 * of[11]),
        at[BACKWARD],
        at[ROWS],
        (at[STATE_BYTES] if of[3] else at[SCRATCH_BYTES]) >> 1,
        at[STATE_BYTES] >> 2,
        at[SCRATCH_BYTES] >> 2,
    )


@usual(GRU_RESET)
def _gru_reset(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        scratch = _scratch(at, row)
        gru_reset(
            ints_at(scratch + 4 * of[1]),
            ints_at(scratch + 4 * of[2]),
            of[0],
            halves_at(_state(at, row) + 2 * of[3]),
            halves_at(scratch + 2 * of[4]),
        )


@usual(GRU_CELL)
def _gru_cell(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        state, scratch = _state(at, row), _scratch(at, row)
        gru_cell(
            ints_at(scratch + 4 * of[1]),
            ints_at(scratch + 4 * of[2]),
            of[0],
            of[5],
            ints_at(state + 4 * of[3]),
            halves_at(state + 2 * of[4]),
        )


@usual(ACTIVATE)
def _activate(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        activate(ints_at(_scratch(at, row) + 4 * of[1]), of[0], of[2])


@usual(NARROW)
def _narrow(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        to = halves_at(_state_or_scratch(at, row, of[3]) + 2 * of[4])
        narrow(ints_at(_scratch(at, row) + 4 * of[1]), of[0], of[2], to)


@usual(EMIT)
def _emit(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        emit(
            ints_at(_scratch(at, row) + 4 * of[1]),
            of[0],
            floats_at(at[PROGRAM] + 4 * of[2]),
            floats_at(at[Y_WORD] + 4 * (row * at[OUTPUTS_WORD] + of[3])),
        )


@usual(EMIT_HALF)
def _emit_half(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        emit(
            halves_at(_state_or_scratch(at, row, of[1]) + 2 * of[2]),
            of[0],
            floats_at(at[PROGRAM] + 4 * of[3]),
            floats_at(at[Y_WORD] + 4 * (row * at[OUTPUTS_WORD] + of[4])),
        )


@usual(MATCH)
def _match(of, context):
    of, at = ints_at(of), words_at(context)
    for row in range(at[ROWS]):
        sample = floats_at(at[X_WORD] + 4 * row * at[INPUTS_WORD])
        channels, values = ints_at(at[PROGRAM] + 4 * of[1]), floats_at(at[PROGRAM] + 4 * of[2])
        halves_at(_scratch(at, row))[of[3]] = match(sample, channels, values, of[0], of[4])
