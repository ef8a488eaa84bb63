"""Kill the daemon again and again, at places in its code where it hurts, and hold its alerts against an undisturbed run.

    python tests/end_to_end/crash_loop.py [--kills 50] [--streams 20] [--rate 2500] [--seed 1]

About every tenth sample decides an alert event; `durability.mode` is `strict`, so they have to be exactly those of the detector over the
same samples. Each process dies at a place of `faults.py`, after passing it for a random number of times. Exit code 1 if an
alert is lost or invented.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from edgelstm.config import InputConfig
from edgelstm_firmware_sim import record
from rig import CHANNELS, Broker, Daemon, Publisher, Subscriber, wait_for
from soak import expected, key

PLACES = {  # and how often it is passed at most before it kills
    "before-commit": 30,
    "after-commit": 30,
    "before-acknowledge": 3000,
    "after-publish": 30,
    "after-delete": 30,
    "during-snapshot": 40,
}
DETECTOR = {
    "threshold": 1.4, "raise_after": 1, "raise_window": 1, "clear_after": 1, "clear_ratio": 1.0, "cooldown_ns": 0,
    "update_interval_ns": 0,
}  # fmt: skip
SCRIPT = Path(__file__).parent / "faults.py"
SETTLE_S = 600.0


class Sensors(threading.Thread):
    """Publishes rows of all streams at a steady rate until it is told to stop."""

    def __init__(self, port, made, rate):
        super().__init__(daemon=True)
        self.publisher, self.made, self.rate = Publisher(port), made, rate
        self.rows, self.stopping = 0, False

    def run(self):
        started_s = time.monotonic()
        while not self.stopping and self.rows < len(self.made[0].values):
            for n, recording in enumerate(self.made):
                values = dict(zip(CHANNELS, recording.values[self.rows].tolist(), strict=True))
                payload = json.dumps({"seq": self.rows, "ts": recording.times_ns[self.rows] / 1e9, **values})
                last = self.publisher.send(f"plant/s{n}/telemetry", payload)
            self.rows += 1
            time.sleep(max(0.0, self.rows * len(self.made) / self.rate - (time.monotonic() - started_s)))
        self.seconds = time.monotonic() - started_s
        last.wait_for_publish(SETTLE_S)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2500.0, help="samples per second, all streams together")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(crash_loop(args, Path(folder)))


def crash_loop(args, folder):
    broker = Broker(folder, "max_queued_messages 10000000").start()
    settings = ", ".join(f"{name} = {value}" for name, value in DETECTOR.items())
    daemon = Daemon(
        folder, broker.port, input_extra=f"detector = {{ {settings} }}", mqtt='reconnect_min = "200ms"',
        extra='[durability]\nmode = "strict"\nsnapshot_interval = "200ms"\nwrite_budget = "0B"',
    )  # fmt: skip
    daemon.config.write_text(daemon.config.read_text().replace('scores = "all"', 'scores = "off"'))
    seen, chance = Subscriber(broker.port, "edgelstm/gw/stream/+/alert"), random.Random(args.seed)
    made = [record("pump", 12_000, 100 + n) for n in range(args.streams)]
    sensors, places = Sensors(broker.port, made, args.rate), Counter()
    try:
        daemon.start()
        daemon.stop()  # its session is made: from now on the broker keeps what it misses
        sensors.start()
        for _ in range(args.kills):
            place = chance.choice(list(PLACES))
            places[place] += 1
            os.environ["FAULT"] = f"{place}:{chance.randint(1, PLACES[place])}"
            daemon.program = [str(SCRIPT)]
            daemon.start(connected=False)
            wait_for(lambda: daemon.process.poll() is not None, SETTLE_S, f"the kill {os.environ['FAULT']}")
        sensors.stopping = True
        sensors.join()
        daemon.program = ["-m", "edgelstm"]
        daemon.start(connected=False)
        return judge(args, daemon, seen, sensors, places)
    finally:
        daemon.process.kill()
        broker.kill()


def judge(args, daemon, seen, sensors, places):
    entry = InputConfig(name="pumps", topics=("t",), model="pump", detector=DETECTOR)
    wanted = set().union(
        *(expected(f"s{n}", recording, sensors.rows, entry) for n, recording in enumerate(sensors.made))
    )
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline and not wanted <= {key(alert) for alert in seen.of("/alert")}:
        time.sleep(2.0)
    received = [key(alert) for alert in seen.of("/alert")]
    lost, invented = wanted - set(received), set(received) - wanted
    samples = sensors.rows * args.streams
    print(f"samples  {samples} of {args.streams} streams, {samples / sensors.seconds:.0f} a second")
    print(f"kills    {args.kills}: {', '.join(f'{place} {n}' for place, n in sorted(places.items()))}")
    print(f"alerts   {len(wanted)} expected, {len(lost)} lost, {len(invented)} invented, "
          f"{len(received) - len(set(received))} published again under the same id")  # fmt: skip
    print(f"stopped  {daemon.stop() == 0}")
    return int(bool(lost or invented))


if __name__ == "__main__":
    main()
