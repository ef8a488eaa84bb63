"""The text of NAME.h and NAME.c."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from edgelstm.model import Model
from edgelstm.model_file import ARITHMETIC_VERSION
from edgelstm.reference import operations as op
from edgelstm.state_field import StateField
from edgelstm_converters.c_export import operations
from edgelstm_converters.c_export.lowering import LSTM_STATE, CBuilder, Constant
from edgelstm_converters.c_export.numbers import numbers
from edgelstm_converters.c_export.snapshots import sealed_bytes, snapshots


def header(model: Model, digest: str, build: CBuilder, name: str) -> str:
    """Return NAME.h: the state, and the functions on it."""
    upper = name.upper()
    fields = "\n".join(
        f"    {array.type} {array.name}[{array.size}]; /* {_range_of(field)} */"
        for array, field in build.state_arrays
    )
    channels = "\n".join(
        f" *   x[{n}]  {c.name}{f', {c.unit}' if c.unit else ''}" for n, c in enumerate(model.channels)
    )
    outputs = "\n".join(
        f" *   y[{n}]  {y.name}{f', {y.unit}' if y.unit else ''}" for n, y in enumerate(model.outputs)
    )
    return f"""/* {name}.h: the model "{comment(model.name)}" {digest[:12]}, exported by edgelstm; arithmetic version {ARITHMETIC_VERSION}.
 *
{comment(channels)}
{comment(outputs)}
 *
 * No heap, no library, no global variables: the caller owns the state, one per stream.
 */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#define {upper}_INPUTS {len(model.channels)}
#define {upper}_OUTPUTS {len(model.outputs)}
#define {upper}_SNAPSHOT_BYTES {sealed_bytes(build)}

#ifdef __cplusplus
extern "C" {{
#endif

#if defined(__GNUC__)
typedef struct __attribute__((aligned(4))) {{
#else
typedef struct {{
#endif
{fields or "    int32_t nothing;"}
}} {name}_state;

/* Returned by {name}_load; the state is as it was for all but the first. */
enum {{ {upper}_LOADED = 0, {upper}_DAMAGED = -1, {upper}_OTHER_VERSION = -2, {upper}_OTHER_MODEL = -3, {upper}_OUT_OF_RANGE = -4 }};

/* Put a state where a new stream begins. */
void {name}_reset({name}_state *state);

/* Advance by one sample, x of {upper}_INPUTS values, y of {upper}_OUTPUTS. Returns 0; or n + 1 where x[n] is not finite,
 * or is to be the number of a row of a table and is none: then nothing has changed. */
int {name}_step({name}_state *state, const float *x, float *y);

/* The state as {upper}_SNAPSHOT_BYTES bytes: the same as a stream of edgelstm gives, on any machine. */
void {name}_save(const {name}_state *state, uint8_t *snapshot);
int {name}_load({name}_state *state, const uint8_t *snapshot);

#ifdef __cplusplus
}}
#endif

#endif
"""


def body(model: Model, digest: str, build: CBuilder, name: str) -> str:
    """Return NAME.c; raises ConversionError where an operation has no C."""
    fragments = operations.fragments_of(build)
    scratch = [f"    {a.type} {a.name}[{a.size}] ALIGNED;" for a in build.scratch_arrays]
    pads = [
        f"    {a.name}[{n}] = 0;"
        for a in build.scratch_arrays
        if a.type == "int16_t"
        for n in range(a.count, a.size)
    ]
    unused = [] if build.state_arrays else ["    (void)state;"]
    step = "\n".join([*scratch, *pads, *unused, *operations.statements(build), "    return 0;"])
    products = [operation.words[0] for operation in build.listed if operation.kind == op.ROW_PRODUCT]
    longest = max((product.columns for product in products), default=4)
    cells = (op.LSTM_CELL, LSTM_STATE, op.GRU_RESET, op.GRU_CELL)
    units = [operation.words[0] for operation in build.listed if operation.kind in cells]
    runtime = "".join(fragment(one) for one in fragments)
    return f"""/* {name}.c: the model "{comment(model.name)}" {digest[:12]}, exported by edgelstm. C99; see {name}.h.
 *
 * Compiles for any core; blocks for the DSP and vector (MVE) instructions of Arm cores are chosen by the macros
 * that the compiler defines. The same bits on all of them.
 */
#include "{name}.h"

#include <float.h>

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

#define LONGEST_VECTOR {longest} /* that a product multiplies */
#define ROWS_LEFT_OVER {int(any(product.rows % 4 for product in products))} /* whether a product has rows past a multiple of four */
#define UNITS_LEFT_OVER {int(any(count % 4 for count in units))} /* whether a cell has units past one */

{runtime}/* ---- Weights ----------------------------------------------------------------------------------------------- */
{"".join(_constant(constant) for constant in build.flash)}
/* ---- The model --------------------------------------------------------------------------------------------- */
int {name}_step({name}_state *state, const float *x, float *y)
{{
{step}
}}

{_reset(build, name)}
{snapshots(digest, build, name)}"""


def fragment(name: str) -> str:
    text = files("edgelstm_converters.c_export").joinpath("runtime", f"{name}.c").read_text()
    if name not in operations.TABLES:
        return text
    return text.replace("@TABLE@", numbers([str(value) for value in operations.TABLES[name].tolist()]))


def _constant(constant: Constant) -> str:
    values = constant.values.tolist()
    texts = [f"{float.hex(v)}f" for v in values] if constant.type == "float" else [str(v) for v in values]
    return (
        f"static const {constant.type} {constant.name}[{len(values)}] ALIGNED = {{\n{numbers(texts)}\n}};\n"
    )


def _reset(build: CBuilder, name: str) -> str:
    lines = operations.begin_anew(build, build.state_arrays) or ["state->nothing = 0;"]
    text = "\n".join(f"    {line}" for line in lines)
    return f"void {name}_reset({name}_state *state)\n{{\n{text}\n}}\n"


def _range_of(field: StateField) -> str:
    if field.derived_from is not None:
        return "rounded from the state"
    if not field.lasting:
        return "begins anew with every loop, is in no snapshot"
    low = "" if field.low is None else f"{field.low} to "
    return f"{low}{field.high}" if field.high is not None else f"{np.dtype(field.dtype)}"


def comment(text: str) -> str:
    """Return text that cannot end the comment that it stands in."""
    return text.replace("*/", "* /").replace("/*", "/ *")
