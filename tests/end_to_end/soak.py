"""Run the daemon for a long time with a random fault every so often, and hold its alerts against an undisturbed run.

    python tests/end_to_end/soak.py --minutes 60 [--every 30] [--streams 20] [--rate 1000] [--faults kill,cut,...]

`durability.mode` is `strict`, so the alerts have to be exactly those of the detector over the same samples: none lost, none
invented, whatever was killed or cut. Exit code 1 if they are not.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import edgelstm
from edgelstm.alert_payload import alert_payload
from edgelstm.daemon.routes import settings_of
from edgelstm.sample import Sample
from edgelstm_firmware_sim import Fault, record
from proxy import Proxy
from rig import CHANNELS, MODEL, Broker, Daemon, Publisher, Subscriber

SETTLE_S = 60.0
KINDS = ("cavitation", "blockage", "bearing_wear")


def recordings(streams, samples):
    """Return a recording per stream, with a fault of three seconds in every thirty."""
    seconds = samples / 10 + 1
    return [
        record("pump", seconds, 100 + n, [
            Fault(KINDS[(k + n) % 3], 20 + 30 * k, 2, 26 + 30 * k) for k in range(int((seconds - 30) // 30))
        ])
        for n in range(streams)
    ]  # fmt: skip


class Faults:
    """What can happen; every fault is over when its method returns."""

    def __init__(self, daemon, broker, proxy, chance):
        self.daemon, self.broker, self.proxy, self.chance = daemon, broker, proxy, chance
        self.done = {}

    def happen(self, name):
        self.done[name] = self.done.get(name, 0) + 1
        getattr(self, name)()

    def kill(self):
        self.daemon.kill()
        self.daemon.start(connected=False)

    def stop(self):
        self.daemon.stop()
        self.daemon.start(connected=False)

    def reload(self):
        self.daemon.process.send_signal(signal.SIGHUP)

    def reset(self):
        self.proxy.reset()

    def refuse(self):
        self.proxy.refuse()
        time.sleep(self.chance.uniform(0.5, 5.0))
        self.proxy.accept_again()

    def cut(self):
        self.proxy.mode = "blackhole"
        time.sleep(self.chance.uniform(5.0, 25.0))
        self.proxy.mode = "pass"

    def slow(self):
        self.proxy.mode = "slow"
        time.sleep(5.0)
        self.proxy.mode = "pass"

    def stall(self):
        self.broker.process.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.5, 5.0))
        self.broker.process.send_signal(signal.SIGCONT)


FAULTS = ("kill", "stop", "reload", "reset", "refuse", "cut", "slow", "stall")


def expected(stream, recording, rows, entry=None):
    """Return the alerts of an undisturbed run, as `key` has them; `entry` is an input that overrides detector settings."""
    loaded = edgelstm.load(MODEL)
    detector, alerts = loaded.detector(settings_of(entry, loaded) if entry else None), set()
    for time_ns, row in zip(recording.times_ns[:rows].tolist(), recording.values[:rows], strict=True):
        verdict = detector.push(Sample(row, round(time_ns / 1e3) * 1000))
        if verdict is not None and verdict.alert is not None:
            payload = alert_payload(
                verdict.alert, node="gw", stream=stream, model="pump", model_digest=loaded.digest
            )
            alerts.add(key(payload))
    return alerts


def key(alert):
    return alert["stream"], alert["id"], alert["event_type"], alert["ts"], alert["score"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds from fault to fault")
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1000.0, help="samples per second, all streams together")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(soak(args, Path(folder)))


def soak(args, folder):
    broker = Broker(folder, "max_queued_messages 1000000").start()
    proxy = Proxy(broker.port)
    extra = '[durability]\nmode = "strict"\nsnapshot_interval = "5s"'
    daemon = Daemon(folder, proxy.port, extra=extra, mqtt='keepalive = "5s"\nreconnect_min = "200ms"')
    daemon.config.write_text(daemon.config.read_text().replace('scores = "all"', 'scores = "off"'))
    daemon.start()
    seen, publisher = Subscriber(broker.port, "edgelstm/gw/stream/+/alert"), Publisher(broker.port)
    faults = Faults(daemon, broker, proxy, random.Random(args.seed))
    try:
        rows, memory_mb = disturb(args, publisher, faults)
        return judge(args, daemon, seen, faults, rows, memory_mb)
    finally:
        daemon.process.kill()
        broker.process.send_signal(signal.SIGCONT)
        broker.kill()
        proxy.close()


def disturb(args, publisher, faults):
    """Publish for so many minutes, with faults; return the rows of every stream and the memory at each fault."""
    samples = int(args.minutes * 60 * args.rate / args.streams)
    made, memory_mb = recordings(args.streams, samples), []
    names, started_s, next_fault_s = args.faults.split(","), time.monotonic(), args.every
    for row in range(samples):
        for n, recording in enumerate(made):
            values = dict(zip(CHANNELS, recording.values[row].tolist(), strict=True))
            payload = json.dumps({"seq": row, "ts": recording.times_ns[row] / 1e9, **values})
            info = publisher.send(f"plant/s{n}/telemetry", payload)
        now_s = time.monotonic() - started_s
        if now_s >= next_fault_s:
            next_fault_s = now_s + args.every
            memory_mb.append(faults.daemon.rss_mb())
            faults.happen(faults.chance.choice(names))
        ahead_s = (row + 1) * args.streams / args.rate - (time.monotonic() - started_s)
        time.sleep(max(0.0, ahead_s))
    info.wait_for_publish(SETTLE_S)
    return (made, samples), memory_mb


def judge(args, daemon, seen, faults, rows, memory_mb):
    made, samples = rows
    wanted = set().union(*(expected(f"s{n}", recording, samples) for n, recording in enumerate(made)))
    deadline = time.monotonic() + SETTLE_S
    while not wanted <= {key(alert) for alert in seen.of("/alert")} and time.monotonic() < deadline:
        time.sleep(0.5)
    received = [key(alert) for alert in seen.of("/alert")]
    lost, invented = wanted - set(received), set(received) - wanted
    print(f"samples     {samples * args.streams} of {args.streams} streams at {args.rate:g} a second")
    print(f"faults      {', '.join(f'{name} {count}' for name, count in sorted(faults.done.items()))}")
    print(f"alerts      {len(wanted)} expected, {len(lost)} lost, {len(invented)} invented, "
          f"{len(received) - len(set(received))} published twice under the same id")  # fmt: skip
    print(
        f"memory      {min(memory_mb, default=0):.0f} to {max(memory_mb, default=0):.0f} MiB, {daemon.rss_mb():.0f} at the end"
    )
    print(f"clean stop  {daemon.stop() == 0}")
    return int(bool(lost or invented))


if __name__ == "__main__":
    main()
