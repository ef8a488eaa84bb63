"""NAME_library.c: the names by which the runtime finds a model in a shared object."""


def source(name: str) -> str:
    """Return NAME_library.c, for a model that is compiled as a shared object."""
    upper = name.upper()
    return f"""/* {name}_library.c: {name}.c as a shared object for edgelstm.load(model, library=...). */
#include "{name}.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED uint32_t edgelstm_state_bytes(void);
EXPORTED uint32_t edgelstm_snapshot_bytes(void);
EXPORTED void edgelstm_reset(void *state);
EXPORTED int32_t edgelstm_run(void *states, uint32_t streams, uint32_t samples, const float *x, float *y);
EXPORTED void edgelstm_save(const void *state, uint8_t *snapshot);
EXPORTED int edgelstm_load(void *state, const uint8_t *snapshot);

uint32_t edgelstm_state_bytes(void)
{{
    return sizeof({name}_state);
}}

uint32_t edgelstm_snapshot_bytes(void)
{{
    return {upper}_SNAPSHOT_BYTES;
}}

void edgelstm_reset(void *state)
{{
    {name}_reset(({name}_state *)state);
}}

/* Step every stream over its samples, x sample by sample, within it stream by stream. The values are finite. */
int32_t edgelstm_run(void *states, uint32_t streams, uint32_t samples, const float *x, float *y)
{{
    for (uint32_t sample = 0; sample < samples; sample++)
        for (uint32_t stream = 0; stream < streams; stream++) {{
            if ({name}_step(({name}_state *)states + stream, x, y))
                return -1;
            x += {upper}_INPUTS;
            y += {upper}_OUTPUTS;
        }}
    return 0;
}}

void edgelstm_save(const void *state, uint8_t *snapshot)
{{
    {name}_save((const {name}_state *)state, snapshot);
}}

int edgelstm_load(void *state, const uint8_t *snapshot)
{{
    return {name}_load(({name}_state *)state, snapshot);
}}
"""
