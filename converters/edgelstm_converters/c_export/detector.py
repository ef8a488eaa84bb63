"""NAME_detector.h and NAME_detector.c: the detector of a model, on its constants, stage by stage as the runtime has it.

Every file of `edgelstm/kernels/detection/` has one of the same name in `runtime/detector/`; both say the same bits.
"""

from __future__ import annotations

from edgelstm.detector_arrays import constants_of, initial_floats, policies_of
from edgelstm.detector_settings import MISSING_POLICIES, DetectorSettings
from edgelstm.errors import ConversionError
from edgelstm.kernels.detection import layout as at
from edgelstm.kernels.detection.tail import FLOORS
from edgelstm.output_roles import forecasts_of, logit_of, rebuilds
from edgelstm.readout import readout_of
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import detector_readout, detector_snapshots
from edgelstm_converters.c_export.detector_snapshots import networks
from edgelstm_converters.c_export.lowering import CBuilder
from edgelstm_converters.c_export.numbers import real
from edgelstm_converters.c_export.source import comment, fragment

HEAD_WORDS = ("threshold", "peak", "announced_peak", "score")
CHANNEL_WORDS = (
    "last_value", "forecast", "error_spread", "short_mean", "long_mean", "variance", "absolute_error", "adopted_spread",
    "adopted_mean", "adopted_variance", "season_spread", "season_mean", "lowest_seen", "highest_seen",
)  # fmt: skip
HEAD_INTS = (
    "has_last", "last_ns", "has_used", "used_ns", "warm_left", "has_forecast", "recent", "calm", "open", "opened_ns",
    "open_samples", "severity", "announced_severity", "announced_ns", "has_cleared", "cleared_ns", "event", "adopted",
)  # fmt: skip
CHANNEL_INTS = ("seen", "present", "short_count", "long_count", "adopted_count", "repeats", "shown")
"""The words of the state, in the order of `edgelstm.kernels.detection.layout`, as fields of C."""

RECOVERY_WORDS = ("bearing", "largest_level", "part")
_SCALARS = (
    "TAIL_SURPRISE", "TAIL_GAIN", "TAIL_DRIFT", "TAIL_RISE", "ERROR_GAIN", "ERROR_MEAN_GAIN", "SHORT_GAIN", "LONG_GAIN",
    "SEASON_GAIN", "SEASON_MEAN_GAIN", "THRESHOLD_LOW", "THRESHOLD_HIGH", "THRESHOLD_STEP", "THRESHOLD_DECAY",
    "CLEAR_RATIO", "CRITICAL_RATIO", "RECOVERY_RATIO",
)  # fmt: skip
_POLICIES = (
    "GAP_NS", "EARLY_NS", "GAP_RESET_NS", "WARM_UP", "RAISE_AFTER", "RAISE_MASK", "CLEAR_AFTER", "UPDATE_INTERVAL_NS",
    "COOLDOWN_NS", "FREEZE_TIMEOUT_NS", "REBUILDS", "SEASON_NS",
)  # fmt: skip
COUNTERS = (
    "SAMPLES", "SCORED", "WARMING", "MISSING_VALUES", "HELD", "SKIPPED", "UNSCORED", "LATE", "DUPLICATES", "GAPS", "EARLY",
    "RESETS", "RAISED_COUNT", "UPDATED_COUNT", "CLEARED_COUNT", "ADOPTED_COUNT", "OUT_OF_RANGE", "STUCK",
)  # fmt: skip
_STAGES = (
    "spread", "level", "error", "season", "novelty", "repeat", "logit", "tail", "evidence", "score", "adoption",
    "recovery", "life_cycle", "input_policy", "readout",
)  # fmt: skip


def check(loaded: LoadedModel) -> None:
    """Raise ConversionError, naming it, for what a detector has and its C cannot carry."""
    settings = _settings(loaded)
    if not _signals(settings):
        raise ConversionError("the detector: no channel has evidence, so there is nothing to export")
    bins = settings.season_bins if settings.season_ns else 0
    if bins * settings.season_ns >= 2**63:
        raise ConversionError(
            f"the detector: a season of {settings.season_ns} ns in {bins} bins overflows 64 bits"
        )


def header(loaded: LoadedModel, build: CBuilder, name: str) -> str:
    """Return NAME_detector.h: the state of a detector, its verdict, and the functions on them."""
    settings, upper = _settings(loaded), name.upper()
    readout = readout_of(loaded, settings)
    bins = (
        f"    double season[{settings.season_bins}]; /* mean of every bin */\n" if settings.season_ns else ""
    )
    recovery = (
        f"    double {', '.join(RECOVERY_WORDS)}; /* of the alert that is open */\n"
        if settings.recovery
        else ""
    )
    counters = ",\n".join(f"    {upper}_COUNT_{one.upper()}" for one in at.COUNTERS)
    channels = "\n".join(f" *   x[{n}]  {channel.name}" for n, channel in enumerate(settings.channels))
    return f"""/* {name}_detector.h: the detector of the model "{comment(loaded.model.name)}" {loaded.digest[:12]}, exported by edgelstm.
 *
{comment(channels)}
 *
 * At most {comment(settings.budget)} of false alarms was asked for. A period of {settings.period_ns / 1e9:g} s is what gaps are measured by.
 */
#ifndef {upper}_DETECTOR_H
#define {upper}_DETECTOR_H

#include "{name}.h"

#define {upper}_CHANNELS {len(settings.channels)}
#define {upper}_PERIOD_NS INT64_C({settings.period_ns}) /* between samples, nominally */
#define {upper}_DETECTOR_SNAPSHOT_BYTES {detector_snapshots.sealed_bytes(build, settings, readout)}

#ifdef __cplusplus
extern "C" {{
#endif

enum {{ {upper}_OK, {upper}_ANOMALY }};                                  /* states */
enum {{ {upper}_NO_EVENT, {upper}_RAISED, {upper}_UPDATED, {upper}_CLEARED }};   /* events in the life of an alert */
enum {{ {upper}_WARNING, {upper}_CRITICAL }};                            /* severities */
enum {{ {", ".join(f"{upper}_{signal.upper()}" for signal in at.SIGNALS)} }}; /* signals */
enum {{ {upper}_OTHER_SETTINGS = -5 }}; /* also returned by {name}_detector_load */

/* counters[...] of what happened to the samples */
enum {{
{counters},
    {upper}_COUNTERS
}};

/* How unlikely a signal is: where its tail begins, mean and mean square of what exceeds it, the run that is going on. */
typedef struct {{
    double threshold, mean, square, peak, run;
}} {name}_tail;

typedef struct {{
    double last_value, forecast, error_spread, short_mean, long_mean, variance;
    double absolute_error; /* of this sample */
    double adopted_spread, adopted_mean, adopted_variance; /* learned aside while an alert is open */
    double season_spread, season_mean, lowest_seen, highest_seen;
    double signals[{at.SIGNAL_COUNT}];
    {name}_tail tails[{len(_signals(settings))}]; /* of {", ".join(at.SIGNALS[signal] for signal in _signals(settings))} */
{recovery}{detector_readout.channel_fields(readout)}{bins}    int64_t seen, present, short_count, long_count, adopted_count;
    int64_t repeats; /* how many values in a row have been the same */
    int64_t shown; /* one bit for each signal that this sample has */
}} {name}_channel;
{detector_readout.record(readout, name)}
typedef struct {{
    {name}_state networks[{networks(settings)}];
    double threshold, peak, announced_peak, score;
    {name}_channel channels[{upper}_CHANNELS];
{detector_readout.detector_field(readout, name)}    int64_t has_last, last_ns; /* samples at or before it are duplicates or late */
    int64_t has_used, used_ns; /* time of the last sample that the network saw */
    int64_t warm_left; /* samples until there are verdicts */
    int64_t has_forecast, recent, calm;
    int64_t open, opened_ns, open_samples, severity; /* the alert */
    int64_t announced_severity, announced_ns, has_cleared, cleared_ns;
    int64_t event, adopted; /* what the last sample decided */
    int64_t counters[{upper}_COUNTERS];
}} {name}_detector;

/* Why: a channel's value (not finite where missing), what was expected, half the width of the expected band, the channel's
 * share of the score (shares add up to 1), and its strongest signal.
 */
typedef struct {{
    double value, expected, band, share;
    int strongest;
}} {name}_reason;

typedef struct {{
    double score, threshold; /* -log10 of the probability that a normal sample is this unusual */
    int state, event;
    {name}_reason reasons[{upper}_CHANNELS]; /* filled in while the state is anomaly and with every event */
}} {name}_verdict;

/* Put a detector where a new stream begins. */
void {name}_detector_reset({name}_detector *detector);

/* Take in one sample: x of {upper}_CHANNELS values, not finite where missing, measured time_ns nanoseconds after 1970 UTC (or
 * after any other instant that stays the same). Returns 1 with a verdict; 0 where there is none: in warm-up, or where policy
 * says that the sample is not to be judged; -1 for a time that is none, and nothing has changed.
 */
int {name}_push({name}_detector *detector, int64_t time_ns, const float *x, {name}_verdict *verdict);

/* The state as {upper}_DETECTOR_SNAPSHOT_BYTES bytes: the same as a detector of edgelstm gives, on any machine. */
void {name}_detector_save(const {name}_detector *detector, uint8_t *snapshot);
int {name}_detector_load({name}_detector *detector, const uint8_t *snapshot);

#ifdef __cplusplus
}}
#endif

#endif
"""


def body(loaded: LoadedModel, build: CBuilder, name: str) -> str:
    """Return NAME_detector.c."""
    settings, upper = _settings(loaded), name.upper()
    signals = _signals(settings)
    together = settings.network == "joint"
    readout, left_out = readout_of(loaded, settings), set()
    if not settings.season_ns:
        left_out.add("season")
    if readout is None:
        left_out.add("readout")
    stages = [stage for stage in _STAGES if stage not in left_out]
    runtime = [*stages, "together" if together else "apart", "chain"]
    text = "".join(fragment(f"detector/{one}") for one in runtime)
    forecasts = forecasts_of(loaded, settings)
    forecast_of = f"static const int8_t forecast_of[CHANNELS] = {{ {', '.join(map(str, forecasts))} }}; /* which output; -1: none */\n"
    return f"""/* {name}_detector.c: the detector of the model "{comment(loaded.model.name)}" {loaded.digest[:12]}, exported by edgelstm. C99.
 *
 * Input policy, network, evidence, tail probability, joined score, threshold, life of an alert: each a few functions, in
 * this order; {name}_push at the end is where to begin reading.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#include "{name}_detector.h"

#include <float.h>
#include <stddef.h>

typedef {name}_tail tail;
typedef {name}_channel channel;
typedef {name}_detector detector;
typedef {name}_reason reason;
typedef {name}_verdict verdict;
#define network_reset {name}_reset
#define network_step {name}_step

#define NETWORKS {networks(settings)}
#define RECOVERS {int(settings.recovery > 0.0)}
#define OUTPUTS {upper}_OUTPUTS
#define CHANNELS {upper}_CHANNELS
#define TAILS {len(signals)}
#define LEVEL_TAIL {signals.index(at.LEVEL) if at.LEVEL in signals else -1}
#define SEASON_BINS {settings.season_bins if settings.season_ns else 0}
#define BIN_AT(time_ns) {"season_bin(time_ns)" if settings.season_ns else "0"}
#define LATEST_NS INT64_C({2**62})

enum {{ {", ".join(signal.upper() for signal in at.SIGNALS)} }};
enum {{ NO_EVENT, RAISED, UPDATED, CLEARED }};
enum {{ NOTHING, WHOLE, OTHERS }}; /* what was adopted */
enum {{ WARNING, CRITICAL }};
enum {{ {", ".join(policy.upper() for policy in MISSING_POLICIES)} }};
enum {{ {", ".join(COUNTERS)} }};

{fragment("fixed_point")}{fragment("input_stage")}{fragment("snapshot")}{fragment("detector/arithmetic")}{_constants(loaded, settings)}
static const int8_t signal_of_tail[TAILS] = {{ {", ".join(at.SIGNALS[signal].upper() for signal in signals)} }};
{forecast_of if together else ""}{detector_readout.constants(settings, build, readout, name)}
{text}{detector_snapshots.functions(loaded.digest, build, settings, name, signals, readout)}
/* ---- The interface ------------------------------------------------------------------------------------------- */
int {name}_push(detector *d, int64_t time_ns, const float *x, verdict *v)
{{
    if (time_ns <= -LATEST_NS || time_ns >= LATEST_NS)
        return -1;
    int scored = take_in(d, time_ns, x, v);
    v->state = d->open ? {upper}_ANOMALY : {upper}_OK;
    v->event = (int)d->event;
    return scored;
}}

void {name}_detector_reset(detector *d)
{{
    uint8_t *bytes = (uint8_t *)d;
    for (uint32_t n = 0; n < sizeof *d; n++) {{
        bytes[n] = 0;
        KEEP_LOOP();
    }}
    for (int n = 0; n < NETWORKS; n++)
        network_reset(&d->networks[n]);
    d->threshold = {real(settings.threshold)};
    d->warm_left = WARM_UP;
#if READS_OUT
    readout_begin(d);
#endif
    for (int n = 0; n < CHANNELS; n++) {{
        const baseline *of = &baselines[n];
        channel *c = &d->channels[n];
        c->error_spread = of->error_spread;
        c->signals[ERROR_MEAN] = MEAN_OF_SCALED_ERROR;
        c->short_mean = of->mean;
        c->long_mean = of->mean;
        c->variance = of->variance;
        c->lowest_seen = of->lowest;
        c->highest_seen = of->highest;
        for (int at = 0; at < TAILS; at++) {{
            c->tails[at].threshold = of->tails[at][0];
            c->tails[at].mean = of->tails[at][1];
            c->tails[at].square = of->tails[at][2];
        }}
#if SEASON_BINS > 0
        c->season_spread = of->season_spread;
        for (int bin = 0; bin < SEASON_BINS; bin++) {{
            c->season[bin] = of->season[bin];
            KEEP_LOOP();
        }}
#endif
    }}
}}
"""


def sizes(loaded: LoadedModel, build: CBuilder) -> dict[str, int]:
    """Return the sizes of a detector for `Exported`, as a machine lays it out that aligns double to eight bytes."""
    settings = _settings(loaded)
    channels, bins = len(settings.channels), settings.season_bins if settings.season_ns else 0
    network = sum(array.bytes for array, _ in build.state_arrays)
    own = (
        len(CHANNEL_WORDS)
        + at.SIGNAL_COUNT
        + at.TAIL_WORDS * len(_signals(settings))
        + (at.RECOVERY_WORDS if settings.recovery else 0)
        + bins
        + len(CHANNEL_INTS)
    )
    readout = readout_of(loaded, settings)
    words = (
        (readout.words if readout else 0)
        + len(HEAD_WORDS)
        + len(HEAD_INTS)
        + len(at.COUNTERS)
        + channels * own
    )
    return {
        "detector_constant_bytes": 8 * sum(len(row) for row in _baselines(settings)),
        "detector_bytes": -(-networks(settings) * network // 8) * 8 + 8 * words,
        "detector_snapshot_bytes": detector_snapshots.sealed_bytes(build, settings, readout),
    }


def _settings(loaded: LoadedModel) -> DetectorSettings:
    settings = loaded.model.detector_settings
    assert settings is not None
    return settings


def _signals(settings: DetectorSettings) -> list[int]:
    """Return which signals any channel has evidence of, in order: the others take no memory."""
    used = {signal for channel in settings.channels for signal in channel.evidence}
    return [number for number, signal in enumerate(at.SIGNALS) if signal in used]


def _constants(loaded: LoadedModel, settings: DetectorSettings) -> str:
    constants = constants_of(settings)
    logit = logit_of(loaded)
    policies = policies_of(settings, forecasts_of(loaded, settings), logit, rebuilds(loaded))
    lines = [f"#define {name} {real(constants[getattr(at, name)])}" for name in _SCALARS]
    lines += [f"#define {name} INT64_C({policies[getattr(at, name)]})" for name in _POLICIES]
    lines += [
        f"#define ON_MISSING {settings.on_missing.upper()}",
        f"#define HAS_LOGIT {int(logit >= 0)}",
        f"#define LOGIT_OUTPUT {max(logit, 0)}",
    ]
    floors = ", ".join(f"{{ {real(threshold)}, {real(mean)} }}" for threshold, mean in FLOORS)
    rows = []
    for channel, row in zip(settings.channels, _baselines(settings), strict=True):
        values, first = [], 0
        for name, count in _fields(settings):
            numbers = [real(value) for value in row[first : first + count]]
            first += count
            if name == "tails":
                numbers = [f"{{ {', '.join(numbers[n : n + 3])} }}" for n in range(0, count, 3)]
            values.append(
                f"        .{name} = {numbers[0] if count == 1 and name != 'season' else '{ ' + ', '.join(numbers) + ' }'},"
            )
        rows.append(f"    {{ /* {comment(channel.name)} */\n" + "\n".join(values) + "\n    },")
    season = "    double season_spread, season[SEASON_BINS];\n" if settings.season_ns else ""
    return f"""/* ---- Constants ----------------------------------------------------------------------------------------------- */
{chr(10).join(lines)}

/* What calibration found of a channel. */
typedef struct {{
    double mean, error_spread, error_floor, variance, level_floor, least_value, largest_value, longest_repeat;
    double lowest, highest;
    double weights[{at.SIGNAL_COUNT}]; /* of the signals; 0: not used */
    double tails[TAILS][3]; /* where a tail begins, mean and mean square of what exceeds it */
{season}}} baseline;

static const baseline baselines[CHANNELS] = {{
{chr(10).join(rows)}
}};

/* Least threshold and mean excess of every signal's tail. */
static const double tail_floors[{at.SIGNAL_COUNT}][2] = {{ {floors} }};
"""


def _fields(settings: DetectorSettings) -> list[tuple[str, int]]:
    """Return the fields of a baseline and how many values each has."""
    single = ("mean", "error_spread", "error_floor", "variance", "level_floor", "least_value", "largest_value",
              "longest_repeat", "lowest", "highest")  # fmt: skip
    fields = [(name, 1) for name in single]
    fields += [("weights", at.SIGNAL_COUNT), ("tails", 3 * len(_signals(settings)))]
    return fields + ([("season_spread", 1), ("season", settings.season_bins)] if settings.season_ns else [])


def _baselines(settings: DetectorSettings) -> list[list[float]]:
    """Return for each channel the values of its baseline, in the order of `_fields`: the runtime's own arrays."""
    constants, floats = constants_of(settings), initial_floats(settings)
    bins, rows = settings.season_bins if settings.season_ns else 0, []
    for c in range(len(settings.channels)):
        own = constants[at.FIRST_CHANNEL_CONSTANT + c * at.CHANNEL_CONSTANTS :]
        state = floats[at.FIRST_CHANNEL_WORD + c * at.CHANNEL_WORDS :]
        row = [
            own[at.MEAN], state[at.ERROR_SPREAD], own[at.ERROR_FLOOR], state[at.VARIANCE], own[at.LEVEL_FLOOR],
            own[at.LEAST_VALUE], own[at.LARGEST_VALUE], own[at.LONGEST_REPEAT], state[at.LOWEST_SEEN], state[at.HIGHEST_SEEN],
            *own[at.FIRST_WEIGHT : at.FIRST_WEIGHT + at.SIGNAL_COUNT],
        ]  # fmt: skip
        for signal in _signals(settings):
            first = at.FIRST_TAIL + signal * at.TAIL_WORDS
            row += state[first : first + 3].tolist()
        if bins:
            first = floats.size - (len(settings.channels) - c) * bins
            row += [state[at.SEASON_SPREAD], *floats[first : first + bins]]
        rows.append([float(value) for value in row])
    return rows
