"""The parts of NAME_detector that only a detector with a readout has: its record, its constants, its place in a snapshot."""

from __future__ import annotations

from edgelstm.detector_arrays import constants_of, initial_floats
from edgelstm.detector_settings import DetectorSettings
from edgelstm.kernels.detection import layout as at
from edgelstm.readout import Readout
from edgelstm_converters.c_export.lowering import CBuilder
from edgelstm_converters.c_export.numbers import real

WORDS = ("step", "step_spread")
"""Of a channel, in the order of `edgelstm.kernels.detection.layout`."""


def channel_fields(readout: Readout | None) -> str:
    """Return the fields that a channel has more."""
    return f"    double {', '.join(WORDS)}; /* beside a readout */\n" if readout else ""


def record(readout: Readout | None, name: str) -> str:
    """Return the type of what is kept for a network."""
    if readout is None:
        return ""
    features = readout.features
    return f"""
/* A readout of the network that learns on: its weights, the newest features, gains, the lower triangle of a covariance. */
typedef struct {{
    double weights[{readout.heard}][{features}], seen[{features}], gains[{features}], covariance[{features * (features + 1) // 2}];
}} {name}_readout;
"""


def detector_field(readout: Readout | None, name: str) -> str:
    return f"    {name}_readout readouts[{readout.networks}];\n" if readout else ""


def constants(settings: DetectorSettings, build: CBuilder, readout: Readout | None, name: str) -> str:
    """Return the macros and constants of the stage."""
    apart = int(settings.network == "apart")
    macros = f"#define READS_OUT {int(readout is not None)}\n#define APART {apart}\n"
    if readout is None or build.hidden is None:
        return macros
    fixed, weights = constants_of(settings), readout.weights(settings, initial_floats(settings, readout))
    rows = []
    for n, channel in enumerate(settings.channels):
        scale = fixed[at.FIRST_CHANNEL_CONSTANT + n * at.CHANNEL_CONSTANTS + at.READOUT_SCALE]
        first = ", ".join(real(weight) for weight in weights[n].tolist())
        spread = channel.step_spread or channel.error_spread
        rows.append(f"    {{ {real(scale)}, {real(spread)}, {{ {first} }} }},")
    _, hidden = build.array_at(True, build.hidden.half)
    return f"""{macros}#define FEATURES {readout.features}
#define HIDDEN {readout.hidden}
#define HEARD {readout.heard}
#define FORGETTING {real(settings.forgetting)}
#define IS_FORECAST(n) {"1" if apart else "(forecast_of[n] >= 0)"}
typedef {name}_readout readout;

/* What the values and steps of a channel are divided by, and what is known of it in the beginning. */
static const struct {{
    double scale, step_spread, weights[FEATURES];
}} readouts_begin[CHANNELS] = {{
{chr(10).join(rows)}
}};

static const int16_t *hidden_of(const {name}_state *state)
{{
    return {hidden};
}}
"""


def constant_bytes(settings: DetectorSettings, readout: Readout | None) -> int:
    """Return the bytes in flash of the table that `constants` writes."""
    return 8 * len(settings.channels) * (2 + readout.features) if readout else 0


def saved(readout: Readout | None) -> str:
    """Return the lines of a snapshot that is written."""
    return _snapshot(readout, "to = put_bytes(to, (const uint8_t *)")


def loaded(readout: Readout | None) -> str:
    """Return the lines of a snapshot that is read."""
    return _snapshot(readout, "from = get_bytes(from, (uint8_t *)")


def _snapshot(readout: Readout | None, call: str) -> str:
    if readout is None:
        return ""
    return f"""
    for (int n = 0; n < CHANNELS; n++)
        {call}&d->channels[n] + offsetof(channel, step), {8 * at.READOUT_WORDS});
    {call}d->readouts, (int)sizeof d->readouts);"""
