"""The compiled entries that run any program over any number of samples; twins in `reference/step.py`."""

from functools import partial

import numpy as np
from numba import types
from numba.extending import intrinsic

from edgelstm.kernels import context, seldom, usual
from edgelstm.kernels.compiled import callback, njit
from edgelstm.kernels.context import (
    ANY_SAMPLES,
    ARRAY_TYPE,
    BACKWARD,
    COUNTS,
    DIMENSIONS,
    ELEMENT_TYPE,
    INPUTS,
    LIMITS,
    MAKER,
    MOST_ROWS,
    OTHERWISE,
    OUT_NAME,
    OUTPUTS,
    PROGRAM,
    ROWS,
    SATURATED,
    SCRATCH,
    STATE,
    STATE_BYTES,
    STATES,
    STREAMS,
    X,
    Y,
    words_at,
)
from edgelstm.kernels.places import after, floats_at, halves_at, ints_at
from edgelstm.kernels.python_method import (
    OUT,
    READABLE,
    SIGNATURE,
    WRITEABLE,
    Owner,
    array_data,
    call_python,
    context_of,
    drop,
    keep,
    knows_arrays,
    let_go,
    method_maker,
    names_only,
    rows_of,
    take_again,
)
from edgelstm.kernels.seldom import run_seldom, run_usual
from edgelstm.reference.operations import (
    DONE,
    END_LOOP,
    EVERY,
    FIRST_OPERATION,
    LOOP,
    OPERATION_COUNT,
    OPERATION_WORDS,
    WHEN,
    WRONG_SHAPE,
)

__all__ = ["bind", "execute", "execute_block", "execute_sample", "method", "usual"]

_INTEGER = types.int64
_VECTOR, _MATRIX = types.float32[::1], types.float32[:, ::1]


def bind(program, state, scratch, saturated=None):
    """Return a context and the object that has to live as long as it is used, once all operations are compiled.

    program  int32 (words,); state  int32 (streams, state_words); scratch  int32 (rows at once, scratch_words)
    saturated  int64 (streams,)  raised by every sample of which a value was limited to int16; nobody's where it is not given
    """
    table = program[FIRST_OPERATION:][: program[OPERATION_COUNT] * OPERATION_WORDS]
    seldom.prepare({int(kind) for kind in table[::OPERATION_WORDS]})
    owner = context.bind(program, state, scratch, saturated)
    return owner.ctypes.data, owner


@njit(inlined=True)
def _step(address):
    """Advance the rows of a context by one sample."""
    at = words_at(address)
    at[BACKWARD] ^= 1
    program = ints_at(at[PROGRAM])
    of, n, operations = at[PROGRAM] + 4 * FIRST_OPERATION, 0, program[OPERATION_COUNT]
    while n < operations:
        words = ints_at(of + 4 * n * OPERATION_WORDS)
        kind = words[0]
        n += 1
        if kind < EVERY:
            run_usual(kind, of + 4 * (n - 1) * OPERATION_WORDS + 4, address)
        elif kind == EVERY:
            state = ints_at(at[STATE])
            count = state[words[1]]
            state[words[1]] = count + 1 if count + 1 < words[2] else 0
            if count != words[3]:
                n += words[4]
        elif kind == LOOP:
            ints_at(at[SCRATCH])[words[1]] = 0
        elif kind == END_LOOP:
            scratch = ints_at(at[SCRATCH])
            scratch[words[1]] += 1
            if scratch[words[1]] < words[2]:
                n -= words[3]
        elif kind == WHEN:
            holder = halves_at(at[STATE] if words[1] else at[SCRATCH])
            if holder[words[2]] == 0:
                n += words[3]
        else:
            run_seldom(kind, after(words, 1), program, ints_at(at[STATE]), ints_at(at[SCRATCH]))


@njit(_INTEGER(_INTEGER, _INTEGER, _INTEGER, _INTEGER))
def execute(address, x, y, samples):
    """Step every stream of a context over its samples; return DONE, or where `x` holds its first value that is refused.

    address  the context from `bind`
    x        address of float32 (samples * streams * inputs)  sample by sample, within it stream by stream
    y        address of float32 (samples * streams * outputs) written

    A value anywhere in `x` that is not finite, or beyond the limits of its channel, is found before anything is changed.
    """
    at, values = words_at(address), floats_at(x)
    for n in range(samples * at[STREAMS] * at[INPUTS]):
        if not np.isfinite(values[n]):
            return n
    if at[LIMITS] != 0:
        inputs, limits = at[INPUTS], floats_at(at[LIMITS])
        for n in range(samples * at[STREAMS] * inputs):
            if values[n] < limits[n % inputs] or values[n] > limits[inputs + n % inputs]:
                return n
    at[X], at[Y] = x, y
    for _ in range(samples):
        at[STATE], at[SATURATED], left = at[STATES], at[COUNTS], at[STREAMS]
        while left > 0:
            rows = min(left, at[MOST_ROWS])
            at[ROWS] = rows
            _step(address)
            at[X] += 4 * rows * at[INPUTS]
            at[Y] += 4 * rows * at[OUTPUTS]
            at[STATE] += rows * at[STATE_BYTES]
            at[SATURATED] += 8 * rows
            left -= rows
    return DONE


@intrinsic
def _address(typing_context, array):
    """Return the address of an array's first value."""

    def emit(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.int64))

    return types.int64(array), emit


@njit(_INTEGER(_INTEGER, _VECTOR, _VECTOR))
def execute_sample(address, x, y):
    """Step the only stream of a context over one sample; codes as `execute`, or WRONG_SHAPE.

    address  the context from `bind`;  x  float32 (inputs,);  y  float32 (outputs,)
    """
    at = words_at(address)
    if x.shape[0] != at[INPUTS] or y.shape[0] != at[OUTPUTS] or at[STREAMS] != 1:
        return WRONG_SHAPE
    return execute(address, _address(x), _address(y), 1)


@njit(_INTEGER(_INTEGER, _MATRIX, _MATRIX))
def execute_block(address, x, y):
    """Step every stream of a context over its samples; codes as `execute`, or WRONG_SHAPE.

    address  the context from `bind`
    x        float32 (samples * streams, inputs)   sample by sample, within it stream by stream
    y        float32 (samples * streams, outputs)
    """
    at = words_at(address)
    if x.shape[1] != at[INPUTS] or y.shape[1] != at[OUTPUTS]:
        return WRONG_SHAPE
    if x.shape[0] != y.shape[0] or x.shape[0] % at[STREAMS] != 0:
        return WRONG_SHAPE
    return execute(address, _address(x), _address(y), x.shape[0] // at[STREAMS])


@njit(inlined=True)
def _run(at, x, y):
    """Step a context over the arrays that the objects at `x` and `y` are, without the interpreter's lock; codes as `execute`."""
    kind, element, dimensions = at[ARRAY_TYPE], at[ELEMENT_TYPE], at[DIMENSIONS]
    values = array_data(x, kind, element, dimensions, at[INPUTS], READABLE)
    results = array_data(y, kind, element, dimensions, at[OUTPUTS], READABLE | WRITEABLE)
    if values == 0 or results == 0:
        return WRONG_SHAPE
    samples = 1
    if dimensions == 2:
        rows = rows_of(x)
        if rows != rows_of(y) or (at[ANY_SAMPLES] == 0 and rows != at[STREAMS]):
            return WRONG_SHAPE
        samples = rows if at[ANY_SAMPLES] else 1
    thread = let_go()
    code = execute(_address(at), values, results, samples)
    take_again(thread)
    return code


@callback(SIGNATURE)
def _step_of_python(owner, arguments, count, names):
    """Step the streams of an Owner over the samples that Python hands over, or let its function for all else do it."""
    at, given = words_at(context_of(owner)), words_at(arguments)
    y, made = 0, 0
    if names != 0:
        y = given[1] if count == 1 and names_only(names, at[OUT_NAME]) else 0
    elif count == 2:
        y = given[1]
    elif count == 1 and at[MAKER] != 0:
        y = made = call_python(at[MAKER], 0, 0, 0)
        if made == 0:
            return 0
    if y != 0 and _run(at, given[0], y) == DONE:
        if made == 0:
            keep(y)
        return y
    if made != 0:
        drop(made)
    return call_python(at[OTHERWISE], arguments, count, names)


_make_method = method_maker(
    "step",
    "Advance by the samples `x`; write the outputs to `out`, or to a new array, and return it.",
    _step_of_python,
)


def method(owner, dimensions, any_samples, maker, otherwise):
    """Return the method of a context that Python calls with samples and, by position or as `out`, an array for the results.

    owner        what `bind` returned beside the context
    dimensions   1 for one sample of the only stream, 2 for one of every stream, or for a block of the only stream
    any_samples  whether it is a block
    maker        called without arguments for a new array where none is given; None where `otherwise` is to make it
    otherwise    called with the same arguments where they are not what machine code takes, or a value is refused; itself
                 the method where this NumPy's arrays look otherwise
    """
    if not knows_arrays():
        python = partial(otherwise)
        python.keeps = owner
        return python
    words = owner.copy().view(Owner)
    words[DIMENSIONS], words[ANY_SAMPLES] = dimensions, any_samples
    words[OUT_NAME], words[OTHERWISE] = id(OUT), id(otherwise)
    words[MAKER] = 0 if maker is None else id(maker)
    words.keeps = owner, maker, otherwise
    return _make_method(words)
