"""Formats and sources through the whole daemon: the same samples give the same scores, however they come."""

import json
import socket
import subprocess
import sys

import pytest

import edgelstm
from edgelstm.alert_payload import timestamp
from edgelstm.sample import Sample
from edgelstm_firmware_sim import Fault, record
from rig import CHANNELS, MODEL, wait_for
from test_daemon import rounded

RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
TIMES_NS = rounded(RECORDING)


def expected():
    detector = edgelstm.load(MODEL).detector()
    verdicts = [detector.push(Sample(v, t)) for t, v in zip(TIMES_NS, RECORDING.values, strict=True)]
    return [verdict.score for verdict in verdicts if verdict is not None]


def influx(time_ns, row):
    fields = ",".join(f"{name}={value}" for name, value in zip(CHANNELS, row, strict=True))
    return f"pump,host=pump1 {fields} {time_ns}".encode()


def rewrite(daemon, *changes):
    text = daemon.config.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    daemon.config.write_text(text)
    return daemon


def test_influx_lines_of_many_hosts_on_one_topic(make_daemon, subscribe, publish):
    daemon = rewrite(
        make_daemon(input_extra='format = "influx"\nkey = "host"\ntimestamp_format = "unix_ns"'),
        ('timestamp = "ts"', 'timestamp = "own"'), ('sequence = "seq"', ""), ('stream = "{1}"', 'stream = "{key}"'),
    ).start()  # fmt: skip
    seen = subscribe("edgelstm/gw/stream/+/score")
    rows = list(zip(TIMES_NS, RECORDING.values.tolist(), strict=True))
    for first in range(0, len(rows), 50):
        lines = [influx(t, row) for t, row in rows[first : first + 50]]
        other = [line.replace(b"host=pump1", b"host=other") for line in lines]
        publish.raw("plant/all/telemetry", b"\n".join(lines + other))
    wanted = expected()
    wait_for(lambda: seen.count("/score", 2 * len(wanted)), what="every score of both")
    for name in ("pump1", "other"):
        assert [score["score"] for score in seen.of(f"stream/{name}/score")] == wanted
    assert daemon.stop() == 0


def test_standard_input_is_scored_to_its_end(make_daemon, subscribe):
    daemon = rewrite(
        make_daemon(), ('topics = ["plant/+/telemetry"]', 'source = "stdin:"'), ('stream = "{1}"', "")
    )
    seen = subscribe("edgelstm/gw/stream/pumps/+")
    lines = [
        json.dumps({"seq": n, "ts": timestamp(t), **dict(zip(CHANNELS, row, strict=True))})
        for n, (t, row) in enumerate(zip(TIMES_NS, RECORDING.values.tolist(), strict=True))
    ]
    rewrite(daemon, ('timestamp = "ts"', 'timestamp = "ts"\ntimestamp_format = "rfc3339"'))
    done = subprocess.run(
        [sys.executable, "-m", "edgelstm", "run", str(daemon.config)],
        input="\n".join(lines), text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = expected()
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == wanted
    assert seen.of("/alert")[0]["event_type"] == "raised"


@pytest.mark.parametrize("scheme", ["file", "unix"])
def test_lines_on_this_machine(make_daemon, subscribe, tmp_path, scheme):
    daemon = rewrite(
        make_daemon(input_extra='format = "csv"\ntimestamp_format = "unix_ns"'),
        ('topics = ["plant/+/telemetry"]', f'source = "{scheme}:{tmp_path / "in"}"'),
        ('stream = "{1}"', ""), ('sequence = "seq"', ""),
    ).start(connected=False)  # fmt: skip
    seen = subscribe("edgelstm/gw/stream/pumps/score")
    lines = [
        f"{','.join(map(str, row[::-1]))},{t}\n"
        for t, row in zip(TIMES_NS, RECORDING.values.tolist(), strict=True)
    ]
    header = f"{','.join(CHANNELS[::-1])},ts\n"
    wait_for(lambda: "event=started" in daemon.text(), what="the daemon")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "in"))
            connection.sendall((header + "".join(lines)).encode())
    else:
        (tmp_path / "in").write_text(header + "".join(lines[:100]))
        wait_for(lambda: seen.count("/score", 70), what="the first scores")
        assert daemon.stop() == 0
        with open(tmp_path / "in", "a") as file:
            file.writelines(lines[100:])
        daemon.start(connected=False)
    wanted = expected()
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == wanted
    assert daemon.stop() == 0
