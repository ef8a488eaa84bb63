"""Functions of C that bring the state of a network to the bytes of its snapshot, and back."""

from __future__ import annotations

import numpy as np

from edgelstm.model_file import ARITHMETIC_VERSION
from edgelstm.snapshot import FORMAT_VERSION, STREAM_MAGIC
from edgelstm.state_field import StateField
from edgelstm_converters.c_export.lowering import Array, CBuilder
from edgelstm_converters.c_export.numbers import numbers

HEADER_BYTES, CRC_BYTES = 48, 4


def state_bytes(build: CBuilder) -> int:
    """Return how many bytes the state of one stream has in a snapshot."""
    return sum(field.count * np.dtype(field.dtype).itemsize for _, field in _saved(build))


def sealed_bytes(build: CBuilder) -> int:
    """Return the length of the snapshot of a stream."""
    return HEADER_BYTES + state_bytes(build) + CRC_BYTES


def header_of(magic: bytes, digest: str, length: int) -> bytes:
    """Return the header of a snapshot whose body has `length` bytes, as `edgelstm.snapshot.seal` writes it."""
    head = magic + FORMAT_VERSION.to_bytes(2, "little") + ARITHMETIC_VERSION.to_bytes(2, "little")
    return head + bytes.fromhex(digest) + length.to_bytes(4, "little")


def state_functions(build: CBuilder, name: str) -> str:
    """Return put_state, state_in_range and get_state: of the state alone, without header and checksum."""
    puts, checks, gets, at = [], [], [], 0
    for array, field in _saved(build):
        size = np.dtype(field.dtype).itemsize
        kind = "words" if size == 4 else "halves"
        puts.append(f"    to = put_{kind}(to, state->{array.name}, {field.count});")
        if field.low is not None or field.high is not None:
            low = -(2 ** (8 * size - 1)) if field.low is None else field.low
            high = 2 ** (8 * size - 1) - 1 if field.high is None else field.high
            low_text = "INT32_MIN" if low == -(2**31) else str(low)
            checks += [
                f"    if (!in_range(from + {at}, {size}, {field.count}, {low_text}, {high}))",
                "        return 0;",
            ]
        gets.append(f"    get_{kind}(from + {at}, state->{array.name}, {field.count});")
        at += field.count * size
    by_word = {array.word: array for array, _ in build.state_arrays}
    for array, field in build.state_arrays:
        if field.derived_from is not None and field.lasting:
            source = by_word[field.derived_from].name
            gets += [
                f"    for (int n = 0; n < {field.count}; n++)",
                f"        state->{array.name}[n] = saturate16(rshift(state->{source}[n], 8));",
            ]
    new_line = "\n"
    return f"""#define STATE_BYTES {at}

INLINE uint8_t *put_state(uint8_t *to, const {name}_state *state)
{{
{new_line.join(puts) or "    (void)state;"}
    return to;
}}

INLINE int state_in_range(const uint8_t *from)
{{
{new_line.join(checks) or "    (void)from;"}
    return 1;
}}

INLINE void get_state(const uint8_t *from, {name}_state *state)
{{
    {name}_reset(state);
{new_line.join(gets) or "    (void)from;"}
}}
"""


def snapshots(digest: str, build: CBuilder, name: str) -> str:
    """Return NAME_save and NAME_load."""
    upper = name.upper()
    return f"""{state_functions(build, name)}
static const uint8_t snapshot_header[{HEADER_BYTES}] = {{
{numbers([str(byte) for byte in header_of(STREAM_MAGIC, digest, state_bytes(build))])}
}};

void {name}_save(const {name}_state *state, uint8_t *snapshot)
{{
    uint8_t *to = put_bytes(snapshot, snapshot_header, {HEADER_BYTES});
    to = put_state(to, state);
    put(to, crc32(snapshot, {HEADER_BYTES} + STATE_BYTES), 4);
}}

int {name}_load({name}_state *state, const uint8_t *snapshot)
{{
    if ((uint32_t)get(snapshot + {HEADER_BYTES} + STATE_BYTES, 4) != crc32(snapshot, {HEADER_BYTES} + STATE_BYTES))
        return {upper}_DAMAGED;
    for (int n = 0; n < {HEADER_BYTES}; n++)
        if (snapshot[n] != snapshot_header[n])
            return n < 8 ? {upper}_DAMAGED : n < 12 ? {upper}_OTHER_VERSION : {upper}_OTHER_MODEL;
    if (!state_in_range(snapshot + {HEADER_BYTES}))
        return {upper}_OUT_OF_RANGE;
    get_state(snapshot + {HEADER_BYTES}, state);
    return {upper}_LOADED;
}}
"""


def _saved(build: CBuilder) -> list[tuple[Array, StateField]]:
    return [pair for pair in build.state_arrays if pair[1].derived_from is None and pair[1].lasting]
