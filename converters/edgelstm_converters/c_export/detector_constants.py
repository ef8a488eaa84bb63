"""The constants of an exported detector: what calibration found, and what the settings say, as tables and names of C."""

from __future__ import annotations

from collections.abc import Sequence

from edgelstm.detector_arrays import constants_of, hears_spread, initial_floats, policies_of
from edgelstm.detector_settings import DetectorSettings
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.tail import FLOORS
from edgelstm.output_roles import forecasts_of, logit_of, rebuilds, spreads_of
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export.numbers import real
from edgelstm_converters.c_export.source import comment

_SCALARS = (
    "TAIL_SURPRISE", "TAIL_GAIN", "TAIL_DRIFT", "TAIL_RISE", "ERROR_GAIN", "ERROR_MEAN_GAIN", "SHORT_GAIN", "LONG_GAIN",
    "SEASON_GAIN", "SEASON_MEAN_GAIN", "THRESHOLD_LOW", "THRESHOLD_HIGH", "THRESHOLD_STEP", "THRESHOLD_DECAY",
    "CLEAR_RATIO", "CRITICAL_RATIO", "RECOVERY_RATIO",
)  # fmt: skip
_POLICIES = (
    "GAP_NS", "EARLY_NS", "GAP_RESET_NS", "WARM_UP", "RAISE_AFTER", "RAISE_MASK", "CLEAR_AFTER", "UPDATE_INTERVAL_NS",
    "COOLDOWN_NS", "FREEZE_TIMEOUT_NS", "REBUILDS", "SEASON_NS",
)  # fmt: skip


def settings_of(loaded: LoadedModel) -> DetectorSettings:
    """Return the settings of a model that has a detector."""
    settings = loaded.model.detector_settings
    assert settings is not None
    return settings


def signals_of(settings: DetectorSettings) -> list[int]:
    """Return which signals any channel has evidence of, in order: the others take no memory."""
    used = {signal for channel in settings.channels for signal in channel.evidence}
    return [number for number, signal in enumerate(at.SIGNALS) if signal in used]


def signal_count(settings: DetectorSettings) -> int:
    """Return how many of the signals, the first of them, have words in the C."""
    return at.SIGNAL_COUNT if hears_spread(settings) else at.SPREAD


def table(name: str, outputs: Sequence[int]) -> str:
    """Return a table of which output each channel has."""
    return f"static const int8_t {name}[CHANNELS] = {{ {', '.join(map(str, outputs))} }}; /* which output; -1: none */\n"


def constants(loaded: LoadedModel, settings: DetectorSettings) -> str:
    """Return what calibration found and the policies say, as names and one table of baselines."""
    found = constants_of(settings)
    logit = logit_of(loaded)
    policies = policies_of(
        settings, forecasts_of(loaded, settings), logit, spreads_of(loaded, settings), rebuilds(loaded)
    )
    lines = [f"#define {name} {real(found[getattr(at, name)])}" for name in _SCALARS]
    lines += [f"#define {name} INT64_C({policies[getattr(at, name)]})" for name in _POLICIES]
    lines += [
        f"#define ON_MISSING {settings.on_missing.upper()}",
        f"#define HAS_LOGIT {int(logit >= 0)}",
        f"#define LOGIT_OUTPUT {max(logit, 0)}",
    ]
    count = signal_count(settings)
    floors = ", ".join(f"{{ {real(threshold)}, {real(mean)} }}" for threshold, mean in FLOORS[:count])
    unsure = "    double spread_floor, usual_spread;\n" if hears_spread(settings) else ""
    rows = []
    for channel, row in zip(settings.channels, baselines(settings), strict=True):
        values, first = [], 0
        for name, length in _fields(settings):
            numbers = [real(value) for value in row[first : first + length]]
            first += length
            if name == "tails":
                numbers = [f"{{ {', '.join(numbers[n : n + 3])} }}" for n in range(0, length, 3)]
            values.append(
                f"        .{name} = {numbers[0] if length == 1 and name != 'season' else '{ ' + ', '.join(numbers) + ' }'},"
            )
        rows.append(f"    {{ /* {comment(channel.name)} */\n" + "\n".join(values) + "\n    },")
    season = "    double season_spread, season[SEASON_BINS];\n" if settings.season_ns else ""
    return f"""/* ---- Constants ----------------------------------------------------------------------------------------------- */
{chr(10).join(lines)}

/* What calibration found of a channel. */
typedef struct {{
    double mean, error_spread, error_floor, variance, level_floor, least_value, largest_value, longest_repeat;
    double lowest, highest;
{unsure}    double weights[{count}]; /* of the signals; 0: not used */
    double tails[TAILS][3]; /* where a tail begins, mean and mean square of what exceeds it */
{season}}} baseline;

static const baseline baselines[CHANNELS] = {{
{chr(10).join(rows)}
}};

/* Least threshold and mean excess of every signal's tail. */
static const double tail_floors[{count}][2] = {{ {floors} }};
"""


def _fields(settings: DetectorSettings) -> list[tuple[str, int]]:
    """Return the fields of a baseline and how many values each has."""
    single = ("mean", "error_spread", "error_floor", "variance", "level_floor", "least_value", "largest_value",
              "longest_repeat", "lowest", "highest")  # fmt: skip
    fields = [(name, 1) for name in single]
    if hears_spread(settings):
        fields += [("spread_floor", 1), ("usual_spread", 1)]
    fields += [("weights", signal_count(settings)), ("tails", 3 * len(signals_of(settings)))]
    return fields + ([("season_spread", 1), ("season", settings.season_bins)] if settings.season_ns else [])


def baselines(settings: DetectorSettings) -> list[list[float]]:
    """Return for each channel the values of its baseline, in the order of `_fields`: the runtime's own arrays."""
    fixed, floats = constants_of(settings), initial_floats(settings)
    bins, rows = settings.season_bins if settings.season_ns else 0, []
    for c in range(len(settings.channels)):
        own = fixed[at.FIRST_CHANNEL_CONSTANT + c * at.CHANNEL_CONSTANTS :]
        state = floats[at.FIRST_CHANNEL_WORD + c * at.CHANNEL_WORDS :]
        row = [
            own[at.MEAN], state[at.ERROR_SPREAD], own[at.ERROR_FLOOR], state[at.VARIANCE], own[at.LEVEL_FLOOR],
            own[at.LEAST_VALUE], own[at.LARGEST_VALUE], own[at.LONGEST_REPEAT], state[at.LOWEST_SEEN], state[at.HIGHEST_SEEN],
        ]  # fmt: skip
        if hears_spread(settings):
            row += [own[at.SPREAD_FLOOR], state[at.USUAL_SPREAD]]
        row += own[at.FIRST_WEIGHT : at.FIRST_WEIGHT + signal_count(settings)].tolist()
        for signal in signals_of(settings):
            first = at.FIRST_TAIL + signal * at.TAIL_WORDS
            row += state[first : first + 3].tolist()
        if bins:
            first = floats.size - (len(settings.channels) - c) * bins
            row += [state[at.SEASON_SPREAD], *floats[first : first + bins]]
        rows.append([float(value) for value in row])
    return rows
