"""A real mosquitto, the daemon as a process, a publisher and a subscriber."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from importlib.resources import files
from pathlib import Path

import paho.mqtt.client as paho
import pytest

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
MODEL = Path(str(files("edgelstm") / "models" / "pump.elstm"))
CHANNELS = ("flow", "pressure", "current", "vibration")


def wait_for(condition, timeout_s=60.0, what="it"):
    """Return the first true value of `condition`; fail the test where none comes in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    return pytest.fail(f"waited {timeout_s} s for {what}; at last: {condition()!r}")


class Server:
    """A server of others on a free loopback port, `command` in a folder of its own."""

    name: str
    command: list[str]

    def start(self):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for(self.answers, what=self.name)
        return self

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    def kill(self):
        self.process.kill()
        self.process.wait()


class Broker(Server):
    """An untouched mosquitto."""

    name = "mosquitto"

    def __init__(self, folder, settings=""):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.process = folder, None
        self.settings = folder / "mosquitto.conf"
        self.settings.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{settings}\n")
        self.command = [MOSQUITTO, "-c", str(self.settings)]


class _Count:
    """True where two numbers are equal, and readable where they are not."""

    def __init__(self, found, wanted):
        self.found, self.wanted = found, wanted

    def __bool__(self):
        return self.found == self.wanted

    def __repr__(self):
        return f"{self.found} of {self.wanted}"


class Subscriber:
    """Collects messages of a topic filter; with a client id the broker keeps them for it while it is away."""

    def __init__(self, port, *filters, client_id=""):
        self.messages, self._lock, self._ready = [], threading.Lock(), threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, clean_session=not client_id)
        self.client.on_connect = lambda client, *_: client.subscribe([(f, 1) for f in filters])
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._take
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(5)

    def _take(self, client, data, message):
        with self._lock:
            self.messages.append((message.topic, message.payload))

    def of(self, leaf):
        """Return the JSON payloads of topics that end in `leaf`."""
        with self._lock:
            return [json.loads(payload) for topic, payload in self.messages if topic.endswith(leaf)]

    def count(self, leaf, wanted):
        """Return whether there are as many as wanted; how many there are is what a failed test shows."""
        with self._lock:
            found = sum(1 for topic, _ in self.messages if topic.endswith(leaf))
        return _Count(found, wanted)

    def raw(self, leaf):
        with self._lock:
            return [payload for topic, payload in self.messages if topic.endswith(leaf)]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Daemon:
    """`edgelstm run` on a configuration of its own."""

    def __init__(
        self, folder, port, model=MODEL, extra="", mqtt="", input_extra="", node_extra="", name="gateway"
    ):
        self.folder, self.process = folder, None
        self.program = ["-m", "edgelstm"]  # or faults.py, which dies where it is told to
        self.log = folder / f"{name}.log".replace("gateway", "daemon")
        self.config = folder / f"{name}.toml"
        self.config.write_text(
            f"""
            [node]
            name = "gw"
            state_dir = "state"
            {node_extra}
            [mqtt]
            url = "mqtt://127.0.0.1:{port}"
            reconnect_max = "1s"
            {mqtt}
            [publish]
            scores = "all"
            [[model]]
            name = "pump"
            path = "{model}"
            [[input]]
            name = "pumps"
            topics = ["plant/+/telemetry"]
            stream = "{{1}}"
            model = "pump"
            timestamp = "ts"
            sequence = "seq"
            {input_extra}
            {extra}
            """
        )

    def start(self, *, connected=True):
        asked = "[control]\nenabled = true" in self.config.read_text()
        links = ["in", "out"] if asked else ["in"]  # out: for requests
        subscribed = lambda: [self.text().count(f"link={link} event=subscribed") for link in links]  # noqa: E731
        before = subscribed()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "run", str(self.config)], stdout=log, stderr=log
            )
        if connected:
            wait_for(
                lambda: all(now > then for now, then in zip(subscribed(), before, strict=True)),
                what=f"the daemon: {self.log}",
            )
        return self

    def text(self):
        return self.log.read_text() if self.log.exists() else ""

    def counts(self):
        """Return the counters that the daemon ended with."""
        pairs = self.text().split("event=stopped ")[-1].splitlines()[0].split()
        return {name: int(count) for name, count in (pair.split("=") for pair in pairs)}

    def rss_mb(self):
        """Return the resident memory of the process."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self):
        """Stop as systemd does, and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()


MOST_ON_THE_WAY = 10_000


class Publisher:
    """Publishes rows of a recording as a node does, and waits until the broker has them."""

    def __init__(self, port):
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._sent = deque()
        self.client.max_inflight_messages_set(200)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def rows(self, times_ns, values, first=0, node="pump1", names=CHANNELS):
        infos = []
        for number, (time_ns, row) in enumerate(
            zip(times_ns.tolist(), values.tolist(), strict=True), start=first
        ):
            known = {name: value for name, value in zip(names, row, strict=True) if value == value}
            payload = json.dumps({"seq": number, "ts": time_ns / 1e9, **known})
            infos.append(self.client.publish(f"plant/{node}/telemetry", payload, qos=1))
        for info in infos:
            info.wait_for_publish(20)

    def send(self, topic, payload):
        """Publish at QoS 1, and wait while too many are on the way: of more than 65,535 paho drops what has no id."""
        info = self.client.publish(topic, payload, qos=1)
        self._sent.append(info)
        if len(self._sent) > MOST_ON_THE_WAY:
            self._sent.popleft().wait_for_publish(600)
        return info

    def raw(self, topic, payload, qos=1):
        self.client.publish(topic, payload, qos=qos).wait_for_publish(20)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class NoDisk(Exception):
    """There can be no disk of its own here, and why."""


class Disk:
    """An ext4 of its own on a loop device: all that it writes can be counted, and it can fail as disks do.

    folder  becomes its mount point; image  the folder of the file that holds it
    """

    def __init__(self, folder, image):
        self.folder, self.image = folder, Path(image) / "disk.img"

    def __enter__(self):
        if os.geteuid():
            raise NoDisk("a disk of its own needs root")
        self.folder.mkdir(exist_ok=True)
        with open(self.image, "wb") as file:
            file.truncate(256 << 20)
        _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        self.device = _run("losetup", "--find", "--show", str(self.image))
        try:
            self.mount()
        except NoDisk:
            _run("losetup", "--detach", self.device)
            raise
        return self

    def mount(self):
        _run("mount", "-o", "errors=remount-ro", self.device, str(self.folder))

    def fail(self):
        """Become read-only at once, with files open and all of them written, as after an error of the hardware."""
        _run("sync", "-f", str(self.folder))
        Path(f"/sys/fs/ext4/{Path(self.device).name}/trigger_fs_error").write_text("1")

    def repair(self):
        """Check and mount it again, as after a new start of the machine."""
        _run("umount", str(self.folder))
        subprocess.run(["fsck.ext4", "-p", self.device], capture_output=True, check=False)  # 1: repaired
        self.mount()

    def written(self):
        """Return the bytes that the device was given to write since it is there."""
        _run("sync", "-f", str(self.folder))
        return int(Path(f"/sys/block/{Path(self.device).name}/stat").read_text().split()[6]) * 512

    def __exit__(self, *_):
        _run("umount", "-l", str(self.folder))
        _run("losetup", "--detach", self.device)


def _run(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise NoDisk(f"a disk of its own needs {exc.filename}") from None
    if done.returncode:
        raise NoDisk(f"a disk of its own cannot be made: {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()
