"""From a message to samples that wait beside their stream; whatever is wrong with one ends in a count."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Mapping

from edgelstm.config import Config
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.routes import Route, Routes
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.daemon.watched import Watched
from edgelstm.message import Message
from edgelstm.outbox import Position
from edgelstm.sources.codecs import JOINED_TOPICS, PayloadError
from edgelstm.stream import LoadedModel

_log = logging.getLogger(__name__)
BAD_IN_A_ROW, QUARANTINE_S = 100, 60.0
MOST_BAD = 10_000
_REASONS = {
    "paused": "the stream is paused",
    "repeated": "a sample with this sequence was seen already",
    "future": "its time is ahead of our clock by more than limits.future",
    "clock_set_back": "the stream begins anew",
}


class Quarantine:
    """A topic that sends one bad payload after the other: for a minute it is not even looked at."""

    def __init__(self) -> None:
        self.count, self._until_s = 0, 0.0

    def shut(self, now_s: float) -> bool:
        if self.count >= BAD_IN_A_ROW:
            self.count, self._until_s = 0, now_s + QUARANTINE_S
        return now_s < self._until_s


class Intake:
    """Knows the streams, and opens them at their first sample."""

    def __init__(
        self,
        config: Config,
        models: Mapping[str, LoadedModel],
        snapshots: Snapshots,
        counters: Counters,
        reply: Callable[[str, bytes], None],
    ) -> None:
        self.streams: dict[str, Watched] = {}
        self.positions: dict[str, Position] = {}  # of before the restart
        self._config, self._snapshots, self._counters, self._reply = config, snapshots, counters, reply
        self._shard, self._shards = config.shard
        self._routes = Routes(config, models)
        self._bad: dict[str, Quarantine] = {}  # topics whose last payload was no sample
        self._minute_s, self._new_streams = time.monotonic(), 0
        self._resumes = config.durability.mode != "none"

    def take(self, message: Message, touched: dict[str, Watched]) -> None:
        """Give the samples of one message to their streams, and name those in `touched`."""
        counters = self._counters
        if message.retained:  # an old sample that the broker kept: it says nothing of now
            counters.add("retained")
            return
        route = self._routes.find(message.topic)
        if route is None:
            counters.complain("unrouted", message.topic, "no input's topics match")
            return
        if len(message.payload) > self._config.mqtt.max_payload:
            counters.complain("oversize", message.topic, f"{len(message.payload)} bytes")
            return
        bad = self._bad.get(message.topic)
        if bad is not None and bad.shut(time.monotonic()):
            counters.add("quarantined")
            return
        try:
            blocks = route.decode(message.topic, message.payload, message.arrival_ns)
        except PayloadError as exc:
            if len(self._bad) >= MOST_BAD:
                self._bad.clear()
            self._bad.setdefault(message.topic, Quarantine()).count += 1
            counters.complain("malformed", message.topic, str(exc))
            if exc.reply is not None:
                counters.add("rebirths_requested")
                self._reply(*exc.reply)
            return
        if bad is not None:
            del self._bad[message.topic]
        now_s = time.monotonic()
        for block in blocks:
            name = route.stream(block.key)
            if (
                self._shards > 1
                and not route.input.is_partitioned
                and zlib.crc32(name.encode()) % self._shards != self._shard
            ):
                counters.add("other_shard", len(block.values))
                continue
            stream = self._stream(route, name)
            if stream is None:
                continue
            odd = stream.gather(block, message.arrival_ns, sent_before=message.repeated)
            if odd:
                counters.complain(odd, message.topic, _REASONS[odd])
            if stream.missing:
                reason = f"{stream.missing} samples are missing: the sender or a full queue of the broker lost them"
                counters.complain("sequence_gaps", message.topic, reason)
                counters.add("samples_missing", stream.missing)
                stream.missing = 0
            stream.touched_s = now_s
            touched[stream.name] = stream

    def replace(self, name: str, model: LoadedModel) -> None:
        """Let streams that are opened from now on have another version of a model."""
        self._routes.replace(name, model)

    def _stream(self, route: Route, name: str) -> Watched | None:
        """Return the stream of that name, made and resumed at its first sample."""
        stream = self.streams.get(name)
        if stream is not None:
            if stream.topic != route.topic and (
                stream.input is not route.input or route.input.format not in JOINED_TOPICS
            ):
                self._counters.complain(
                    "stream_conflict", route.topic, f"stream {name} is fed by {stream.topic} already"
                )
                return None
            return stream
        limits, now_s = self._config.limits, time.monotonic()
        if len(self.streams) >= limits.max_streams:
            self._counters.complain("stream_limit", route.topic, "limits.max_streams is reached")
            return None
        if name not in self.positions:  # not for those of before a restart
            if now_s - self._minute_s >= 60.0:
                self._minute_s, self._new_streams = now_s, 0
            self._new_streams += 1
            if self._new_streams > limits.new_streams_per_minute:
                self._counters.complain(
                    "stream_rate", route.topic, "limits.new_streams_per_minute is reached"
                )
                return None
        stream = Watched(name, route, self._config.node_name, self._config.limits.future)
        skipped = 0
        if self._resumes:
            skipped = stream.resume(self.positions.get(name), self._snapshots)
            self._counters.add("samples_skipped_by_restart", skipped)
        _log.info(
            "stream=%s event=opened topic=%s samples=%d skipped=%d",
            name,
            stream.topic,
            stream.samples,
            skipped,
        )
        self.streams[name] = stream
        return stream

    def evict_idle(self, now_s: float) -> list[str]:
        """Forget, in memory only, streams that were silent for long: where they stand is on disk. Return their names."""
        evicted = []
        for name, stream in list(self.streams.items()):
            idle = now_s - stream.touched_s > self._config.limits.idle_evict
            if idle and stream.detector.open_alert is None and stream.snapshot_samples == stream.samples:
                self.positions[name] = stream.position(with_state=False)
                del self.streams[name]
                evicted.append(name)
                self._counters.add("streams_evicted")
                _log.info("stream=%s event=evicted samples=%d", name, stream.samples)
        return evicted
