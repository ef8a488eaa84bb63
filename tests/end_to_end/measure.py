"""Measure what the daemon holds in memory, what it writes, and how soon it notices a link that is cut.

    python tests/end_to_end/measure.py memory|blackhole|flood|link|writes [--minutes 10] [--streams 100] [--rate 1000]

memory     resident with so many streams, each a sample a second
blackhole  growth while nothing gets out for so many minutes, every score published
flood      growth while 100,000 topics that nobody configured a stream for send a sample each
link       from a cut in silence until both links notice, and from its end until samples are scored again
writes     what a disk of its own (ext4 on a loop device, so as root) is given to write a day in `durability.mode = "alerts"`, each
           stream a sample a second, journal and snapshots counted; with a folder in memory as systemd gives it
           (RUNTIME_DIRECTORY). More than half an hour, so that snapshots are in it.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from edgelstm import config
from edgelstm.daemon.control import ask
from edgelstm.daemon.snapshots import BLOCK
from edgelstm.sources.time_text import to_ns
from edgelstm_firmware_sim import record
from proxy import Proxy
from rig import CHANNELS, Broker, Daemon, Disk, NoDisk, Publisher, Subscriber, wait_for

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
    with contextlib.ExitStack() as stack:
        os.environ["RUNTIME_DIRECTORY"] = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
        try:
            disk = stack.enter_context(Disk(daemon.folder / "state", os.environ["RUNTIME_DIRECTORY"]))
        except NoDisk as exc:
            sys.exit(f"measure: {exc}")
        count_writes(args, daemon, broker, disk)


def count_writes(args, daemon, broker, disk):
    """Tell minutes with snapshots from those without: a day has as many snapshots as its budget, whatever the window."""
    sensors = Sensors(broker.port, args.streams, (args.minutes + SETTLE_MINUTES) * 60)
    daemon.start()
    settings = config.load(daemon.config)
    before = first = disk.written()
    snapshots, quiet, busy, taken = 0, [], 0, 0
    for minute in range(int(args.minutes) + SETTLE_MINUTES):
        sensors.run(60, args.streams)
        now, counters = disk.written(), ask(settings.control_socket, "status")["health"]["counters"]
        fresh, snapshots = counters.get("snapshots", 0) - snapshots, counters.get("snapshots", 0)
        print(f"minute {minute + 1:3d}  {(now - before) / 1e3:8.1f} kB  {fresh:4d} snapshots", flush=True)
        if minute >= SETTLE_MINUTES:
            if fresh:
                busy, taken = busy + now - before, taken + fresh
            else:
                quiet.append(now - before)
        before = now
    daemon.stop()
    if not taken or not quiet:
        sys.exit("measure: no snapshot, or no minute without one: give it more --minutes")
    still = statistics.mean(quiet) * 24 * 60
    each = (busy - statistics.mean(quiet) * (args.minutes - len(quiet))) / taken
    sizes = [path.stat().st_size for path in (disk.folder / "snapshots").glob("*.snapshot")]
    counted = BLOCK * statistics.mean(-(-size // BLOCK) for size in sizes)
    a_day = settings.durability.write_budget / counted
    print(
        f"{(before - first) / 1e6:.2f} MB in all; without snapshots {still / 1e6:.1f} MB a day; a snapshot {each / 1e3:.1f} kB, of "
        f"which its budget counts {counted / 1e3:.1f}: {a_day:.0f} a day, {each * a_day / 1e6:.1f} MB"
    )
    print(
        f"in all {(still + each * a_day) / 1e6:.1f} MB a day, with {counters.get('alerts_raised', 0)} alerts in {minute + 1} minutes"
    )


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
