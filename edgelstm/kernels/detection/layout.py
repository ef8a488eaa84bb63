"""Where the words of a detector stand: constants, policies, and its state in one float64 and one int64 array.

`floats` and `constants` begin with the words of the whole detector; from FIRST_CHANNEL_WORD and
FIRST_CHANNEL_CONSTANT on follow CHANNEL_WORDS and CHANNEL_CONSTANTS for every channel in order. In `floats`
follow, where alerts clear by recovery, RECOVERY_WORDS for every channel; where a readout learns on, READOUT_WORDS for every channel
and what `readout.py` keeps for every network; and at the end stands, for every channel, one word for each bin of the season. In `ints` follow
CHANNEL_INTS words for every channel, in `policies` OUTPUT_TABLES tables with one word for every channel.
"""

# evidence: what a channel can show; one file and one line in `evidence.py` each
SIGNALS = ("error", "error_mean", "level", "season", "novelty", "repeat", "logit", "spread")
ERROR, MEAN_ERROR, LEVEL, SEASON, NOVELTY, REPEAT, LOGIT, SPREAD = range(len(SIGNALS))
SIGNAL_COUNT = len(SIGNALS)

# constants, float64: of the detector
(
    TAIL_FRACTION,
    TAIL_SURPRISE,  # -log10 of the tail fraction: the surprise where the tail begins
    TAIL_GAIN,  # weight of a new run's peak
    TAIL_DRIFT,  # how far, in mean excesses, a sample below the tail lowers it
    TAIL_RISE,  # how far, in mean excesses, a sample in the tail raises it
    ERROR_GAIN,
    ERROR_MEAN_GAIN,
    SHORT_GAIN,
    LONG_GAIN,
    SEASON_GAIN,
    SEASON_MEAN_GAIN,
    THRESHOLD_LOW,
    THRESHOLD_HIGH,
    THRESHOLD_STEP,
    THRESHOLD_DECAY,
    CLEAR_RATIO,
    CRITICAL_RATIO,
    RECOVERY_RATIO,  # 0: an alert clears on all channels
    FORGETTING,  # of the readout: what a sample before counts of the one after it
) = range(19)
FIRST_CHANNEL_CONSTANT = 19

# constants, float64: of a channel; the weights of all signals follow, 0 where one is not used
(
    MEAN,
    ERROR_FLOOR,
    LEVEL_FLOOR,
    LEAST_VALUE,
    LARGEST_VALUE,
    LONGEST_REPEAT,
    READOUT_SCALE,  # what the readout's values and steps of the channel are divided by
    SPREAD_FLOOR,
    FIRST_WEIGHT,
) = range(9)
CHANNEL_CONSTANTS = FIRST_WEIGHT + SIGNAL_COUNT

# state, float64: of the detector
THRESHOLD, PEAK, ANNOUNCED_PEAK, SCORE = range(4)
FIRST_CHANNEL_WORD = 4

# state, float64: of a channel; the values of all signals, then their tails of TAIL_WORDS follow
(
    LAST_VALUE,
    FORECAST,
    ERROR_SPREAD,
    SHORT_MEAN,
    LONG_MEAN,
    VARIANCE,
    ABSOLUTE_ERROR,  # of this sample
    ADOPTED_SPREAD,  # what is learned aside while an alert is open
    ADOPTED_MEAN,
    ADOPTED_VARIANCE,
    SEASON_SPREAD,
    SEASON_MEAN,
    LOWEST_SEEN,
    HIGHEST_SEEN,
    NETWORK_SPREAD,  # what the network says of this sample
    USUAL_SPREAD,
    FIRST_SIGNAL,
) = range(17)
FIRST_TAIL = FIRST_SIGNAL + SIGNAL_COUNT
(TAIL_THRESHOLD, TAIL_MEAN, TAIL_SQUARE, TAIL_PEAK, TAIL_RUN) = range(5)
TAIL_WORDS = 5
CHANNEL_WORDS = FIRST_TAIL + SIGNAL_COUNT * TAIL_WORDS
OF_SPREAD = (
    NETWORK_SPREAD,
    USUAL_SPREAD,
    FIRST_SIGNAL + SPREAD,
    *range(FIRST_TAIL + SPREAD * TAIL_WORDS, CHANNEL_WORDS),
)
"""The words of a channel that no snapshot has where no network says how sure it is."""

# state, float64: of a channel, of the alert that is open
(
    BEARING,  # its largest part of the fourth power of the score, in the first samples
    LARGEST_LEVEL,
    PART,  # of this sample
) = range(3)
RECOVERY_WORDS = 3

# state, float64: of a channel, where a readout learns on
(
    STEP,  # from the value before to that of this sample
    STEP_SPREAD,  # what a network that hears channels apart has its steps divided by
) = range(2)
READOUT_WORDS = 2

# policies, int64
(
    ON_MISSING,
    GAP_NS,
    EARLY_NS,
    GAP_RESET_NS,
    WARM_UP,
    RAISE_AFTER,
    RAISE_MASK,  # one bit for each sample of the window
    CLEAR_AFTER,
    UPDATE_INTERVAL_NS,
    COOLDOWN_NS,
    FREEZE_TIMEOUT_NS,
    APART,  # 1: the network steps once for every channel, on its standardised value; 0: once, on all values
    LOGIT_OUTPUT,  # which output of the network is the logit of a fault; -1: none is
    SEASON_NS,
    SEASON_BINS,  # 0: no season
    REBUILDS,  # 1: what the network says is of this sample, not of the next one
    READOUT_FEATURES,  # how many numbers the readout forecasts from; 0: there is none
    HIDDEN_HALF,  # where in a network's state, counted in int16, those begin that the readout hears
    HIDDEN_COUNT,
) = range(19)
FIRST_OUTPUT = 19
"""From here on, for each channel, which output of the model forecasts it, then, for each, which is the spread of that; -1: none is."""
OUTPUT_TABLES = 2

HOLD, SKIP, RESET = range(3)

# state, int64: of the detector
(
    HAS_LAST,
    LAST_NS,  # position: samples at or before it are duplicates or late
    HAS_USED,
    USED_NS,  # time of the last sample that the network saw
    WARM_LEFT,
    HAS_FORECAST,
    RECENT,  # one bit for each of the last scores: was it above the threshold
    CALM,
    OPEN,
    OPENED_NS,
    OPEN_SAMPLES,
    SEVERITY,
    ANNOUNCED_SEVERITY,
    ANNOUNCED_NS,
    HAS_CLEARED,
    CLEARED_NS,
    EVENT,  # what the last sample decided
    ADOPTED,  # whether, when it cleared, the new level was adopted: NOTHING, WHOLE or OTHERS
    FIRST_COUNTER,
) = range(19)

COUNTERS = (
    "samples",
    "scored",
    "warming",
    "missing_values",
    "held",
    "skipped",
    "unscored",
    "late",
    "duplicates",
    "gaps",
    "early",
    "resets",
    "raised",
    "updated",
    "cleared",
    "adopted",
    "out_of_range",
    "stuck",
)
(
    SAMPLES,
    SCORED,
    WARMING,
    MISSING_VALUES,
    HELD,
    SKIPPED,
    UNSCORED,
    LATE,
    DUPLICATES,
    GAPS,
    EARLY,
    RESETS,
    RAISED_COUNT,
    UPDATED_COUNT,
    CLEARED_COUNT,
    ADOPTED_COUNT,
    OUT_OF_RANGE,
    STUCK,
) = range(FIRST_COUNTER, FIRST_COUNTER + len(COUNTERS))
FIRST_CHANNEL_INT = FIRST_COUNTER + len(COUNTERS)

# state, int64: of a channel
(
    SEEN,  # 0: never; 1: it has a last value
    PRESENT,  # whether the last sample had a value, so that the forecast made from it counts
    SHORT_COUNT,
    LONG_COUNT,
    ADOPTED_COUNT_OF_CHANNEL,
    REPEATS,  # how many values in a row have been the same
    SHOWN,  # one bit for each signal that this sample has
) = range(7)
CHANNEL_INTS = 7

NO_EVENT, RAISED, UPDATED, CLEARED = range(4)
NOTHING, WHOLE, OTHERS = range(3)
WARNING, CRITICAL = range(2)
STATE_NONE, STATE_OK, STATE_ANOMALY = -1, 0, 1

# reasons, float64 (channels, REASON_WORDS): overwritten by every sample above the threshold or in an alert
VALUE, EXPECTED, BAND, SHARE, STRONGEST, STRONGEST_SHARE = range(6)
REASON_WORDS = 6
SIGMAS_OF_BAND = 3.0
MEAN_OF_SCALED_ERROR = 0.8
"""Mean of |x| over the standard deviation, for normal errors; what the mean error starts from."""
