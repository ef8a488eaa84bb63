"""NAME_selftest.c: what a model gives on a signal that C and Python make alike, so that a board can prove itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgelstm.model import Model
from edgelstm.stream import LoadedModel

SAMPLES, CHECKPOINT = 1024, 64
_FNV_START, _FNV_PRIME = 2166136261, 16777619


def signal(model: Model, samples: int = SAMPLES) -> NDArray[np.float32]:
    """Return float32 (samples, channels): a walk through two thirds of every channel's range, with jumps.

    Channels that choose a row of a table get numbers of rows.
    """
    seed, walk = 1, np.zeros(len(model.channels), np.int64)
    rows = np.empty((samples, len(model.channels)), np.float32)
    for n in range(samples):
        for c, channel in enumerate(model.channels):
            seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
            move = seed >> 18
            walk[c] = move - 8192 if n % 97 == 0 else walk[c] - walk[c] // 32 + (move - 8192) // 16
            step = np.float32(1.0 / channel.gain)
            rows[n, c] = np.float32(walk[c]) * step + np.float32(channel.offset)
            if c in model.rows_by_channel:
                rows[n, c] = move % model.rows_by_channel[c]
    return rows


def source(loaded: LoadedModel, name: str) -> str:
    """Return NAME_selftest.c."""
    model, upper = loaded.model, name.upper()
    x = signal(model)
    stream, found, hashed = loaded.stream(), [], _FNV_START
    first = None
    for n, row in enumerate(x, 1):
        y = stream.step(row)
        first = y if first is None else first
        for bits in y.view(np.uint32).tolist():
            for shift in (0, 8, 16, 24):
                hashed = ((hashed ^ (bits >> shift & 255)) * _FNV_PRIME) & 0xFFFFFFFF
        if n % CHECKPOINT == 0:
            found.append(hashed)
    assert first is not None
    snapshot = stream.snapshot()
    hashes = ", ".join(f"0x{value:08x}u" for value in found)
    steps = ", ".join(f"{float.hex(float(np.float32(1.0 / c.gain)))}f" for c in model.channels)
    offsets = ", ".join(f"{float.hex(float(np.float32(c.offset)))}f" for c in model.channels)
    bits = ", ".join(f"0x{value:08x}u" for value in first.view(np.uint32).tolist())
    chosen = "".join(
        f"\n            if (c == {c}) /* the number of a row */\n                x[c] = (float)(move % {rows});"
        for c, rows in model.rows_by_channel.items()
    )
    crc = int.from_bytes(snapshot[-4:], "little")
    return f"""/* {name}_selftest.c: golden values of {name}.c, made by edgelstm. */
#include "{name}.h"

int {name}_selftest(void);

static const float steps[{upper}_INPUTS] = {{ {steps} }};
static const float offsets[{upper}_INPUTS] = {{ {offsets} }};

/* The bits of the first outputs, and an FNV-1a hash of the bits of all outputs at every {CHECKPOINT}th sample. */
static const uint32_t first_outputs[{upper}_OUTPUTS] = {{ {bits} }};
static const uint32_t hashes[{SAMPLES // CHECKPOINT}] = {{ {hashes} }};

/* The CRC at the end of the snapshot after the last sample. */
static const uint32_t last_snapshot = 0x{crc:08x}u;

static uint32_t bits_of(float value)
{{
    union {{ float number; uint32_t bits; }} both;
    both.number = value;
    return both.bits;
}}

/* Step over {SAMPLES} samples of a made-up signal. Returns 0; or the number of the sample up to which an output was wrong;
 * or -1 where saving and loading the state does not give it back.
 */
int {name}_selftest(void)
{{
    {name}_state state;
    uint8_t snapshot[{upper}_SNAPSHOT_BYTES];
    float x[{upper}_INPUTS], y[{upper}_OUTPUTS];
    int32_t walk[{upper}_INPUTS];
    uint32_t seed = 1, hash = {_FNV_START}u;
    for (int c = 0; c < {upper}_INPUTS; c++)
        walk[c] = 0;
    {name}_reset(&state);
    for (int n = 0; n < {SAMPLES}; n++) {{
        for (int c = 0; c < {upper}_INPUTS; c++) {{
            seed = seed * 1664525u + 1013904223u;
            int32_t move = (int32_t)(seed >> 18);
            walk[c] = n % 97 == 0 ? move - 8192 : walk[c] - (walk[c] >> 5) + ((move - 8192) >> 4);
            float value = (float)walk[c] * steps[c]; /* exact: steps are powers of two */
            x[c] = value + offsets[c];{chosen}
        }}
        {name}_step(&state, x, y);
        for (int k = 0; k < {upper}_OUTPUTS; k++) {{
            if (n == 0 && bits_of(y[k]) != first_outputs[k])
                return 1;
            for (int shift = 0; shift < 32; shift += 8)
                hash = (hash ^ (bits_of(y[k]) >> shift & 255u)) * {_FNV_PRIME}u;
        }}
        if (n % {CHECKPOINT} == {CHECKPOINT - 1}) {{
            if (hash != hashes[n / {CHECKPOINT}])
                return n + 1;
            {name}_save(&state, snapshot);
            {name}_reset(&state);
            if ({name}_load(&state, snapshot) != {upper}_LOADED)
                return -1;
        }}
    }}
    uint32_t crc = 0;
    for (int n = 4; n > 0; n--)
        crc = crc << 8 | snapshot[{upper}_SNAPSHOT_BYTES - 5 + n];
    return crc == last_snapshot ? 0 : -1;
}}
"""
