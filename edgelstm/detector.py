"""The anomaly detector of one stream: samples in, verdicts out; everything it knows is in its snapshot."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgelstm import reasons
from edgelstm.alert import Alert, ChannelReason, OpenAlert
from edgelstm.backend import engine
from edgelstm.detector_arrays import constants_of, initial_floats, initial_ints, policies_of, words_kept
from edgelstm.detector_settings import DetectorSettings
from edgelstm.errors import SampleError, SnapshotError, UsageError
from edgelstm.kernels.compiled import COMPILES
from edgelstm.kernels.detection import chain, many
from edgelstm.kernels.detection import layout as at
from edgelstm.output_roles import forecasts_of, logit_of, rebuilds, spreads_of
from edgelstm.readout import readout_of
from edgelstm.sample import Sample
from edgelstm.snapshot import seal, unseal
from edgelstm.verdict import Verdict, Verdicts

if TYPE_CHECKING:
    from edgelstm.stream import LoadedModel

DETECTOR_MAGIC = b"ELSTMDET"
SEVERITIES = ("warning", "critical")
EVENTS = ("", "raised", "updated", "cleared")
ADOPTED_NOTE = "still so when the freeze timed out: the new level was adopted as normal"
OTHERS_NOTE = "the channels that raised it are back; what others had moved to meanwhile was adopted as normal"
NOTES = ("", ADOPTED_NOTE, OTHERS_NOTE)
LATEST_NS = 2**62
APART_INPUTS = 2
_LENGTHS = struct.Struct("<III")


class Detector:
    """Watches one stream; owns its state, not to be shared between threads."""

    def __init__(self, loaded: LoadedModel, settings: DetectorSettings) -> None:
        """Make a detector in its initial state.

        Raises UsageError where the settings are for other channels, or the model forecasts none of its channels.
        """
        names = tuple(channel.name for channel in settings.channels)
        if settings.network == "apart" and loaded.inputs != APART_INPUTS:
            raise UsageError(
                f'model "{loaded.model.name}" has {loaded.inputs} inputs; a network for each channel apart has '
                f"{APART_INPUTS}: the standardised value and step"
            )
        if settings.network == "apart" and loaded.program.limits is not None:
            raise UsageError(
                f'model "{loaded.model.name}" chooses rows of a table; a network for each channel apart gets standardised values'
            )
        if settings.network == "joint" and names != loaded.channel_names:
            raise UsageError(
                f"the detector settings are for channels {', '.join(names)}, but model "
                f'"{loaded.model.name}" has {", ".join(loaded.channel_names)}: calibrate it with: edgelstm calibrate'
            )
        self.model, self.settings = loaded, settings
        self.channel_names = names
        self._channels = len(names)
        apart = settings.network == "apart"
        self.readout = readout_of(loaded, settings)
        self._policies = policies_of(
            settings,
            forecasts_of(loaded, settings),
            logit_of(loaded),
            spreads_of(loaded, settings),
            rebuilds(loaded),
            self.readout,
        )
        self._constants = constants_of(settings, None if apart else loaded.program.limits)
        self._floats, self._ints = initial_floats(settings, self.readout), initial_ints(settings)
        self._kept = words_kept(settings, self.readout)
        self._network = loaded.program.initial_state(self._channels if apart else 1)
        self._beginning = self._network.copy()
        self._saturated = np.zeros(len(self._network), np.int64)
        self.context, self._owner = engine().bind(
            loaded.program.words, self._network, loaded.program.new_scratch(), self._saturated
        )
        self._reasons = np.zeros((self._channels, at.REASON_WORDS))
        values, repeated = np.zeros(self._channels, np.float32), np.zeros(self._channels, np.int8)
        self._feed = np.zeros((len(self._network), loaded.inputs), np.float32)
        self._said = np.zeros((len(self._network), loaded.outputs), np.float32)
        self.arrays: tuple[NDArray[Any], ...] = (  # what the stages work on, beside the context
            self._network, self._beginning, self._constants, self._policies, self._floats, self._ints, self._reasons,
            values, repeated, self._feed, self._said,
        )  # fmt: skip
        self._one_time = np.zeros(1, np.int64)
        self._one_score, self._one_threshold = np.zeros(1), np.zeros(1)
        self._one_state = np.zeros(1, np.int8)
        self.place: NDArray[np.int64] | None = None  # where the arrays are, once `detector_batch` has looked

    def push(self, sample: Sample) -> Verdict | None:
        """Take in one sample; None in warm-up, and where policy says that it is not to be judged.

        A value that is not finite is missing. Raises SampleError, with nothing changed, for a wrong shape or type.
        """
        values = sample.values
        if type(values) is not np.ndarray or values.dtype != np.float32 or values.shape != (self._channels,):
            raise SampleError(_mismatch("the sample", values, (self._channels,)))
        if not -LATEST_NS < sample.time_ns < LATEST_NS:
            raise SampleError(f"time_ns is {sample.time_ns}, expected nanoseconds since 1970")
        self._one_time[0] = sample.time_ns
        block = np.ascontiguousarray(values).reshape(1, -1)
        one = (self._one_score, self._one_threshold, self._one_state)
        chain.run(self.context, *self.arrays, self._one_time, block, *one, 0)
        state = int(self._one_state[0])
        if state == at.STATE_NONE:
            return None
        event = int(self._ints[at.EVENT])
        explained = self._explain() if state == at.STATE_ANOMALY or event != at.NO_EVENT else ()
        return Verdict(
            time_ns=sample.time_ns,
            score=float(self._one_score[0]),
            threshold=float(self._one_threshold[0]),
            state="anomaly" if state == at.STATE_ANOMALY else "ok",
            channels=explained,
            alert=self._alert(sample.time_ns, float(self._one_threshold[0]), explained) if event else None,
        )

    def push_block(self, times_ns: NDArray[np.int64], values: NDArray[np.float32]) -> Verdicts:
        """Take in a block of samples: the same bits as `push` one by one.

        times_ns  int64   (samples,)
        values    float32 (samples, channels), not finite where missing

        Raises SampleError, with nothing changed, for a wrong shape or type.
        """
        self.check(times_ns, values)
        count = len(times_ns)
        times_ns, values = np.array(times_ns, order="C"), np.array(values, order="C")
        verdicts = Verdicts(np.empty(count), np.empty(count), np.empty(count, np.int8), [])
        self.go_on(times_ns, values, verdicts, 0)
        return verdicts

    def check(self, times_ns: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Raise SampleError where a block has a wrong shape or type, or a time that is none."""
        if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim != 2:
            raise SampleError(_mismatch("the block", values, ("samples", self._channels)))
        count = values.shape[0]
        if values.shape[1] != self._channels:
            raise SampleError(_mismatch("the block", values, ("samples", self._channels)))
        if not isinstance(times_ns, np.ndarray) or times_ns.dtype != np.int64 or times_ns.shape != (count,):
            raise SampleError(f"times_ns has to be an int64 array of shape ({count},)")
        if count and not (int(times_ns.min()) > -LATEST_NS and int(times_ns.max()) < LATEST_NS):
            raise SampleError("times_ns has to hold nanoseconds since 1970")

    def go_on(
        self, times_ns: NDArray[np.int64], values: NDArray[np.float32], verdicts: Verdicts, row: int
    ) -> None:
        """Take in samples from `row` on and write their verdicts; where there is a row before it, note its event first."""
        found = (verdicts.scores, verdicts.thresholds, verdicts.states)
        while True:
            if row and self._ints[at.EVENT] != at.NO_EVENT:
                threshold = float(verdicts.thresholds[row - 1])
                verdicts.alerts.append(self._alert(int(times_ns[row - 1]), threshold, self._explain()))
            if row == len(times_ns):
                return
            row = int(chain.run(self.context, *self.arrays, times_ns, values, *found, row))

    def trace(
        self,
        times_ns: NDArray[np.int64],
        values: NDArray[np.float32],
        words: Sequence[int],
        needs: Sequence[int],
        out: NDArray[np.float64],
    ) -> None:
        """Take in a block and write words of every channel's state, after each scored sample, to `out`.

        needs  the signal that a channel has to show for each word to be written
        out    float64 (words, samples, channels); what is not shown is left as it is
        """
        chain.trace(
            self.context,
            *self.arrays,
            times_ns,
            values,
            np.empty(len(values)),
            np.empty(len(values)),
            np.empty(len(values), np.int8),
            np.array(words, np.int64),
            np.array(needs, np.int64),
            out,
        )

    def reset(self) -> None:
        """Return to the initial state, counters included."""
        self._network[:], self._saturated[:] = self._beginning, 0
        self._floats[:] = initial_floats(self.settings, self.readout)
        self._ints[:] = initial_ints(self.settings)

    def snapshot(self) -> bytes:
        """Return the whole state: the same bytes on every machine, for this model and these settings only."""
        network = b"".join(self.model.program.pack_state(state) for state in self._network)
        body = (
            self._settings_digest() + _LENGTHS.pack(len(network), self._kept.size, self._ints.size) + network
        )
        return seal(
            DETECTOR_MAGIC,
            self.model.digest,
            body + self._floats[self._kept].astype("<f8").tobytes() + self._ints.astype("<i8").tobytes(),
        )

    def restore(self, snapshot: bytes) -> None:
        """Go to the state that `snapshot` holds; raises SnapshotError with the state untouched."""
        body = unseal(DETECTOR_MAGIC, self.model.digest, snapshot)
        one = self.model.program.snapshot_bytes
        packed = one * len(self._network)
        start = 32 + _LENGTHS.size
        lengths = _LENGTHS.pack(packed, self._kept.size, self._ints.size)
        if body[:32] != self._settings_digest():
            raise SnapshotError("the snapshot belongs to other detector settings of the same model")
        if body[32:start] != lengths or len(body) != start + packed + 8 * (self._kept.size + self._ints.size):
            raise SnapshotError(
                f"the snapshot of a detector has {len(body)} bytes, which is not what this one holds"
            )
        middle = start + packed
        for n in range(len(self._network)):
            self._network[n] = self.model.program.unpack_state(body[start + n * one : start + (n + 1) * one])
        self._floats[self._kept] = np.frombuffer(body, "<f8", self._kept.size, middle)
        self._ints[:] = np.frombuffer(body, "<i8", self._ints.size, middle + 8 * self._kept.size)

    def adopt(self, open_alert: OpenAlert | None, last_time_ns: int | None) -> None:
        """Let what a database knows override the state after a restart.

        Samples at or before `last_time_ns` become duplicates; `open_alert` goes on living under its id, and an
        alert that is open here but not there is forgotten.
        """
        ints = self._ints
        if last_time_ns is not None:
            ints[at.HAS_LAST], ints[at.LAST_NS] = 1, last_time_ns
        if open_alert is None:
            ints[at.OPEN] = 0
            return
        known = ints[at.OPEN] and ints[at.OPENED_NS] == open_alert.opened_ns
        ints[at.OPEN], ints[at.OPENED_NS] = 1, open_alert.opened_ns
        ints[at.OPEN_SAMPLES] = open_alert.samples
        ints[at.SEVERITY] = SEVERITIES.index(open_alert.severity)
        ints[at.ANNOUNCED_SEVERITY] = SEVERITIES.index(open_alert.announced_severity)
        ints[at.ANNOUNCED_NS] = open_alert.announced_ns
        self._floats[at.PEAK] = open_alert.peak_score
        self._floats[at.ANNOUNCED_PEAK] = open_alert.announced_peak
        if known:
            return
        ints[at.CALM] = 0
        own = ints[at.FIRST_CHANNEL_INT :].reshape(self._channels, at.CHANNEL_INTS)
        own[:, at.ADOPTED_COUNT_OF_CHANNEL] = 0
        if self.settings.recovery:
            first = at.FIRST_CHANNEL_WORD + self._channels * at.CHANNEL_WORDS
            self._floats[first : first + self._channels * at.RECOVERY_WORDS] = 0.0

    @property
    def counters(self) -> dict[str, int]:
        """What happened to the samples so far, by name."""
        values = self._ints[at.FIRST_COUNTER : at.FIRST_COUNTER + len(at.COUNTERS)].tolist()
        return dict(zip(at.COUNTERS, values, strict=True))

    @property
    def saturated(self) -> int:
        """How often the network was given a value beyond what its int16 hold, as `Stream.saturated`; of each channel's own added up."""
        return int(self._saturated.sum())

    def take_saturated(self) -> int:
        """Return `saturated`, and count from 0 again."""
        count, self._saturated[:] = self.saturated, 0
        return count

    @property
    def last_time_ns(self) -> int | None:
        """The time of the newest sample, None before the first."""
        return int(self._ints[at.LAST_NS]) if self._ints[at.HAS_LAST] else None

    @property
    def samples_until_ready(self) -> int:
        """How many more samples the warm-up takes."""
        return int(self._ints[at.WARM_LEFT])

    @property
    def threshold(self) -> float:
        """The threshold that the next score is held against."""
        return float(self._floats[at.THRESHOLD])

    @property
    def open_alert(self) -> OpenAlert | None:
        """The alert that is open, None if none is."""
        if not self._ints[at.OPEN]:
            return None
        return OpenAlert(
            opened_ns=int(self._ints[at.OPENED_NS]),
            peak_score=float(self._floats[at.PEAK]),
            samples=int(self._ints[at.OPEN_SAMPLES]),
            severity=SEVERITIES[self._ints[at.SEVERITY]],
            announced_ns=int(self._ints[at.ANNOUNCED_NS]),
            announced_peak=float(self._floats[at.ANNOUNCED_PEAK]),
            announced_severity=SEVERITIES[self._ints[at.ANNOUNCED_SEVERITY]],
        )

    def _explain(self) -> tuple[ChannelReason, ...]:
        rebuilt = bool(self._policies[at.REBUILDS])
        return reasons.of_detector(self.settings, self._floats, self._ints, rebuilt, self._reasons)

    def _alert(self, time_ns: int, threshold: float, explained: tuple[ChannelReason, ...]) -> Alert:
        return Alert(
            event_type=EVENTS[self._ints[at.EVENT]],
            time_ns=time_ns,
            opened_ns=int(self._ints[at.OPENED_NS]),
            severity=SEVERITIES[self._ints[at.SEVERITY]],
            score=float(self._floats[at.SCORE]),
            peak_score=float(self._floats[at.PEAK]),
            threshold=threshold,
            samples=int(self._ints[at.OPEN_SAMPLES]),
            channels=explained,
            note=NOTES[self._ints[at.ADOPTED]],
        )

    def _settings_digest(self) -> bytes:
        return hashlib.sha256(msgspec.json.encode(self.settings)).digest()


def warm_up(*, calibration: bool = False) -> None:
    """Compile the stages, or load them from the cache, before the first sample needs them; calibration's if asked."""
    words, state = np.zeros(8, np.int32), np.zeros((1, 1), np.int32)
    context, _owner = engine().bind(words, state, np.zeros((1, 1), np.int32))
    floats, ints = np.zeros(1), np.zeros(at.FIRST_CHANNEL_INT, np.int64)
    found = np.zeros((1, at.REASON_WORDS))
    vector, matrix, flags = np.zeros(1, np.float32), np.zeros((1, 1), np.float32), np.zeros(1, np.int8)
    no_times, no_values, nothing = np.zeros(0, np.int64), np.zeros((0, 1), np.float32), np.zeros(0)
    no_states = np.zeros(0, np.int8)
    shared = (
        context,
        state,
        state.copy(),
        floats,
        ints,
        floats,
        ints,
        found,
        vector,
        flags,
        matrix,
        matrix,
        no_times,
        no_values,
    )
    chain.run(*shared, nothing, nothing, no_states, 0)
    if COMPILES:
        none = np.zeros(0, np.int64)
        detectors, sizes = np.zeros((0, many.ADDRESSES), np.int64), np.zeros(many.SIZES, np.int64)
        many.run_many(detectors, sizes, none, none, no_times, no_values, nothing, nothing, no_states)
    if calibration:
        chain.trace(
            *shared,
            nothing,
            nothing,
            no_states,
            np.zeros(1, np.int64),
            np.zeros(1, np.int64),
            np.zeros((1, 0, 1)),
        )


def _mismatch(what: str, found: object, shape: tuple[object, ...]) -> str:
    described = (
        f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
    )
    return f"{what} is {described}, expected float32 of shape ({', '.join(map(str, shape))})"
