"""NAME_detector.h and NAME_detector.c: the detector of a model, on its constants, stage by stage as the runtime has it.

Every file of `edgelstm/kernels/detection/` has one of the same name in `runtime/detector/`; both say the same bits.
"""

from __future__ import annotations

from edgelstm.detector_arrays import hears_spread
from edgelstm.detector_settings import MISSING_POLICIES
from edgelstm.errors import ConversionError
from edgelstm.kernels.detection import layout as at
from edgelstm.output_roles import forecasts_of, spreads_of
from edgelstm.readout import readout_of
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import detector_readout, detector_snapshots
from edgelstm_converters.c_export.detector_constants import (
    baselines,
    constants,
    settings_of,
    signal_count,
    signals_of,
    table,
)
from edgelstm_converters.c_export.detector_snapshots import networks
from edgelstm_converters.c_export.lowering import CBuilder
from edgelstm_converters.c_export.numbers import real
from edgelstm_converters.c_export.source import comment, fragment

HEAD_WORDS = ("threshold", "peak", "announced_peak", "score")
CHANNEL_WORDS = (
    "last_value", "forecast", "error_spread", "short_mean", "long_mean", "variance", "absolute_error", "adopted_spread",
    "adopted_mean", "adopted_variance", "season_spread", "season_mean", "lowest_seen", "highest_seen",
)  # fmt: skip
SPREAD_WORDS = ("network_spread", "usual_spread")
"""Of a channel, behind those: where any listens to how sure the network is."""
HEAD_INTS = (
    "has_last", "last_ns", "has_used", "used_ns", "warm_left", "has_forecast", "recent", "calm", "open", "opened_ns",
    "open_samples", "severity", "announced_severity", "announced_ns", "has_cleared", "cleared_ns", "event", "adopted",
)  # fmt: skip
CHANNEL_INTS = ("seen", "present", "short_count", "long_count", "adopted_count", "repeats", "shown")
"""The words of the state, in the order of `edgelstm.kernels.detection.layout`, as fields of C."""

RECOVERY_WORDS = ("bearing", "largest_level", "part")
COUNTERS = (
    "SAMPLES", "SCORED", "WARMING", "MISSING_VALUES", "HELD", "SKIPPED", "UNSCORED", "LATE", "DUPLICATES", "GAPS", "EARLY",
    "RESETS", "RAISED_COUNT", "UPDATED_COUNT", "CLEARED_COUNT", "ADOPTED_COUNT", "OUT_OF_RANGE", "STUCK",
)  # fmt: skip
_STAGES = (
    "spread", "level", "error", "season", "novelty", "repeat", "logit", "uncertainty", "tail", "evidence", "score", "adoption",
    "recovery", "life_cycle", "input_policy", "readout",
)  # fmt: skip


def check(loaded: LoadedModel) -> None:
    """Raise ConversionError, naming it, for what a detector has and its C cannot carry."""
    settings = settings_of(loaded)
    if not signals_of(settings):
        raise ConversionError("the detector: no channel has evidence, so there is nothing to export")
    bins = settings.season_bins if settings.season_ns else 0
    if bins * settings.season_ns >= 2**63:
        raise ConversionError(
            f"the detector: a season of {settings.season_ns} ns in {bins} bins overflows 64 bits"
        )


def header(loaded: LoadedModel, build: CBuilder, name: str) -> str:
    """Return NAME_detector.h: the state of a detector, its verdict, and the functions on them."""
    settings, upper = settings_of(loaded), name.upper()
    readout = readout_of(loaded, settings)
    bins = (
        f"    double season[{settings.season_bins}]; /* mean of every bin */\n" if settings.season_ns else ""
    )
    recovery = (
        f"    double {', '.join(RECOVERY_WORDS)}; /* of the alert that is open */\n"
        if settings.recovery
        else ""
    )
    unsure = f"    double {', '.join(SPREAD_WORDS)};\n" if hears_spread(settings) else ""
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
{unsure}    double signals[{signal_count(settings)}];
    {name}_tail tails[{len(signals_of(settings))}]; /* of {", ".join(at.SIGNALS[signal] for signal in signals_of(settings))} */
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
    settings, upper = settings_of(loaded), name.upper()
    signals = signals_of(settings)
    together = settings.network == "joint"
    readout = readout_of(loaded, settings)
    left_out = {
        "season": not settings.season_ns,
        "uncertainty": not hears_spread(settings),
        "readout": readout is None,
    }
    stages = [stage for stage in _STAGES if not left_out.get(stage)]
    runtime = [*stages, "together" if together else "apart", "chain"]
    text = "".join(fragment(f"detector/{one}") for one in runtime)
    outputs = table("forecast_of", forecasts_of(loaded, settings))
    if hears_spread(settings):
        outputs += table("spread_output_of", [max(n, 0) for n in spreads_of(loaded, settings)])
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
#define HEARS_SPREAD {int(hears_spread(settings))}
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

{fragment("fixed_point")}{fragment("input_stage")}{fragment("snapshot")}{fragment("detector/arithmetic")}{constants(loaded, settings)}
static const int8_t signal_of_tail[TAILS] = {{ {", ".join(at.SIGNALS[signal].upper() for signal in signals)} }};
{outputs if together else ""}{detector_readout.constants(settings, build, readout, name)}
{text}{detector_snapshots.functions(loaded.digest, build, settings, name, signals, signal_count(settings), readout)}
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
#if HEARS_SPREAD
        c->usual_spread = of->usual_spread;
#endif
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
    settings = settings_of(loaded)
    channels, bins = len(settings.channels), settings.season_bins if settings.season_ns else 0
    network = sum(array.bytes for array, _ in build.state_arrays)
    own = (
        len(CHANNEL_WORDS)
        + (len(SPREAD_WORDS) if hears_spread(settings) else 0)
        + signal_count(settings)
        + at.TAIL_WORDS * len(signals_of(settings))
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
        "detector_constant_bytes": 8 * sum(len(row) for row in baselines(settings))
        + detector_readout.constant_bytes(settings, readout),
        "detector_bytes": -(-networks(settings) * network // 8) * 8 + 8 * words,
        "detector_snapshot_bytes": detector_snapshots.sealed_bytes(build, settings, readout),
    }
