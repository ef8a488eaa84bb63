"""Measure what the daemon holds in memory, what it writes, and how soon it notices a link that is cut.

    python tests/end_to_end/measure.py memory|blackhole|flood|link|writes [--minutes 10] [--streams 100] [--rate 1000]

memory     resident with so many streams, each a sample a second
blackhole  growth while nothing gets out for so many minutes, every score published
flood      growth while 100,000 topics that nobody configured a stream for send a sample each
link       from a cut in silence until both links notice, and from its end until samples are scored again
writes     bytes that go to the disk in `durability.mode = "alerts"`, each stream a sample a second, and what that is a day; with
           a folder in memory as systemd gives it (RUNTIME_DIRECTORY)
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from edgelstm.sources.time_text import to_ns
from edgelstm_firmware_sim import record
from proxy import Proxy
from rig import CHANNELS, Broker, Daemon, Publisher, Subscriber, wait_for

FLOOD_TOPICS = 100_000
ROUNDS, SETTLE_MINUTES = 5, 5


class Sensors:
    """So many streams that publish one row after the other, all at the same pace."""

    def __init__(self, port, streams, seconds):
        self.publisher, self.streams, self.sent = Publisher(port), streams, 0
        self.rows = [record("pump", seconds + 1, 100 + n).values.tolist() for n in range(min(streams, 20))]

    def run(self, seconds, rate):
        """Publish for so long, samples spread evenly over each second."""
        started_s, first = time.time(), self.sent
        while (sent_s := (self.sent - first) / rate) < seconds:
            row, stream = divmod(self.sent, self.streams)
            values = self.rows[stream % len(self.rows)]
            sample = dict(zip(CHANNELS, values[row % len(values)], strict=True))
            payload = json.dumps({"seq": row, "ts": started_s + sent_s, **sample})
            self.publisher.send(f"plant/s{stream}/telemetry", payload)
            self.sent += 1
            time.sleep(max(0.0, started_s + sent_s - time.time()))


def memory(args, daemon, proxy, broker):
    sensors = Sensors(broker.port, args.streams, args.minutes * 60)
    daemon.start()
    print(f"resident without streams        {daemon.rss_mb():.0f} MiB")
    sensors.run(args.minutes * 60, args.streams)
    print(f"resident with {args.streams} streams      {daemon.rss_mb():.0f} MiB")


def blackhole(args, daemon, proxy, broker):
    sensors = Sensors(broker.port, args.streams, 60)
    daemon.start()
    sensors.run(30, args.rate)
    before_mb, most_mb = daemon.rss_mb(), 0.0
    proxy.only, proxy.mode = b"-out", "blackhole"
    for _ in range(int(args.minutes * 6)):
        sensors.run(10, args.rate)
        most_mb = max(most_mb, daemon.rss_mb())
    print(
        f"before {before_mb:.0f} MiB, at most {most_mb:.0f} MiB in {args.minutes:g} minutes: {most_mb - before_mb:+.0f} MiB"
    )
    proxy.mode = "pass"
    sensors.run(20, args.rate)
    print(f"20 s after it ended {daemon.rss_mb():.0f} MiB")


def flood(args, daemon, proxy, broker):
    sensors = Sensors(broker.port, args.streams, 60)
    daemon.start()
    sensors.run(20, args.rate)
    before_mb, most_mb = daemon.rss_mb(), 0.0
    for n in range(FLOOD_TOPICS):
        payload = json.dumps({"ts": time.time(), **dict.fromkeys(CHANNELS, 1.0)})
        sensors.publisher.raw(f"plant/stranger{n}/telemetry", payload)
        if n % 100 == 0:
            sensors.run(0.1, args.rate)
            most_mb = max(most_mb, daemon.rss_mb())
    print(
        f"before {before_mb:.0f} MiB, at most {most_mb:.0f} MiB with {FLOOD_TOPICS} topics: {most_mb - before_mb:+.0f} MiB"
    )
    daemon.stop()
    print(
        f"counted { ({name: n for name, n in daemon.counts().items() if name.startswith(('scored', 'stream_'))}) }"
    )


def link(args, daemon, proxy, broker):
    sensors, seen = Sensors(broker.port, 1, 60), Subscriber(broker.port, "edgelstm/gw/stream/s0/score")
    daemon.start()
    sensors.run(5, 10)
    noticed, back = [], []
    for turn in range(ROUNDS):
        downs = daemon.text().count("event=disconnected")
        proxy.mode = "blackhole"
        cut_s = time.monotonic()
        wait_for(
            lambda n=downs: daemon.text().count("event=disconnected") >= n + 2, 60, "both links to notice"
        )
        noticed.append(time.monotonic() - cut_s)
        time.sleep(1.3 * turn)  # somewhere in its pauses
        proxy.mode = "pass"
        healed_s, healed_ns = time.monotonic(), time.time_ns()
        while not any(to_ns(score["ts"]) > healed_ns for score in seen.of("/score")):
            sensors.run(0.05, 20)
        back.append(time.monotonic() - healed_s)
        sensors.run(2, 10)
    for name, found in (("noticed", noticed), ("scoring again", back)):
        print(f"{name:14s} median {statistics.median(found):.1f} s, at most {max(found):.1f} s, of {ROUNDS}")


def writes(args, daemon, proxy, broker):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.environ["RUNTIME_DIRECTORY"] = folder
        count_writes(args, daemon, broker)


def count_writes(args, daemon, broker):
    sensors = Sensors(broker.port, args.streams, (args.minutes + SETTLE_MINUTES) * 60)
    daemon.start()
    sensors.run(SETTLE_MINUTES * 60, args.streams)
    first, started_s = written(daemon), time.monotonic()
    print(
        f"{first / 1e6:.2f} MB in the first {SETTLE_MINUTES} minutes, in which streams are opened and saved-up budget is spent"
    )
    sensors.run(args.minutes * 60, args.streams)
    bytes_written, seconds = written(daemon) - first, time.monotonic() - started_s
    daemon.stop()
    counts = daemon.counts()
    print(
        f"{bytes_written / 1e6:.2f} MB in {seconds:.0f} s: {bytes_written / seconds * 86_400 / 1e6:.1f} MB a day"
    )
    print(f"in all {counts.get('snapshots', 0)} snapshots, {counts.get('alerts_raised', 0)} alerts raised")


def written(daemon):
    """Return the bytes that the process had the system write to a disk."""
    lines = Path(f"/proc/{daemon.process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


MEASURED = {"memory": memory, "blackhole": blackhole, "flood": flood, "link": link, "writes": writes}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=MEASURED)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--rate", type=float, default=1000.0, help="samples per second, all streams together")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder), "max_queued_messages 1000000").start()
        proxy = Proxy(broker.port)
        daemon = Daemon(Path(folder), proxy.port, extra="[limits]\nnew_streams_per_minute = 100000")
        if args.what == "writes":
            daemon.config.write_text(
                daemon.config.read_text().replace('scores = "all"', 'scores = "on_change"')
            )
        try:
            MEASURED[args.what](args, daemon, proxy, broker)
        finally:
            if daemon.process is not None:
                daemon.process.kill()
            broker.kill()
            proxy.close()


if __name__ == "__main__":
    main()
