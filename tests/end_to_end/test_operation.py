"""A running daemon as its operator sees it: status, requests, metrics, Home Assistant, systemd, reload."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import msgspec
import pytest
from test_faults import start_faulty
from test_inputs import rewrite

import edgelstm
from edgelstm import schemas
from edgelstm.sample import Sample
from edgelstm_firmware_sim import Fault, record
from rig import MODEL, wait_for
from test_daemon import rounded

RECORDING = record("pump", 30, 5, [Fault("cavitation", 12, 5)])
LOADED = edgelstm.load(MODEL)


def scores():
    detector = LOADED.detector()
    found = [detector.push(Sample(v, t)) for t, v in zip(rounded(RECORDING), RECORDING.values, strict=True)]
    return [verdict.score for verdict in found if verdict is not None]


def edgelstm_cli(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "edgelstm", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def validate(schema, value, at="$"):
    """Hold a value against the part of JSON Schema that ours use."""
    if "anyOf" in schema:
        for option in schema["anyOf"]:
            try:
                return validate(option, value, at)
            except AssertionError:
                pass
        raise AssertionError(f"{at}: {value!r}")
    if "const" in schema:
        assert value == schema["const"], at
    if "enum" in schema:
        assert value in schema["enum"], at
    kinds = {
        "string": str,
        "number": (int, float),
        "integer": int,
        "object": dict,
        "array": list,
        "boolean": bool,
        "null": type(None),
    }
    if "type" in schema:
        assert isinstance(value, kinds[schema["type"]]), f"{at}: {value!r}"
    for key in schema.get("required", ()):
        assert key in value, f"{at}.{key} is missing"
    if isinstance(value, dict):
        for key, one in value.items():
            part = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            assert part is not None, f"{at}.{key} is not described"
            validate(part, one, f"{at}.{key}")
    for n, one in enumerate(value if isinstance(value, list) else ()):
        validate(schema["items"], one, f"{at}[{n}]")
    return None


def test_every_payload_is_as_its_schema_says(make_daemon, subscribe, publish):
    seen = subscribe()
    daemon = make_daemon().start()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    wait_for(lambda: seen.count("/score", 270), what="every score")
    wait_for(lambda: seen.of("/alert") and seen.of("/health"), what="an alert")
    for name in ("alert", "state", "score", "info", "health"):
        payloads = seen.of(f"/{name}")
        assert payloads
        for payload in payloads:
            validate(schemas.payload_schema(name), payload)
    assert daemon.stop() == 0


def test_status_and_streams_from_the_command_line(make_daemon, subscribe, publish):
    seen, daemon = subscribe(), make_daemon()
    answer = edgelstm_cli("status", daemon.config)
    assert answer.returncode == 69 and "no daemon answers" in answer.stderr and answer.stderr.count("\n") == 1
    daemon.start()
    assert stat.S_IMODE((daemon.folder / "state" / "control").stat().st_mode) == 0o600
    publish.rows(RECORDING.times_ns[:60], RECORDING.values[:60])
    wait_for(lambda: seen.count("/score", 30), what="scores")
    answer = edgelstm_cli("status", daemon.config)
    assert answer.returncode == 0 and answer.stdout.startswith("state       ok"), answer
    assert json.loads(edgelstm_cli("status", "--json", daemon.config).stdout)["health"]["streams"] == 1
    assert "pump1" in edgelstm_cli("stream", "list", daemon.config).stdout
    assert edgelstm_cli("stream", "pause", daemon.config, "pump1").stdout == "pump1  paused\n"
    publish.rows(RECORDING.times_ns[60:80], RECORDING.values[60:80], first=60)
    wait_for(
        lambda: (
            json.loads(edgelstm_cli("status", "--json", daemon.config).stdout)["health"]["counters"].get(
                "paused"
            )
            == 20
        ),
        what="20 samples unseen",
    )
    assert edgelstm_cli("stream", "resume", daemon.config, "pump1").stdout == "pump1  ok\n"
    assert edgelstm_cli("stream", "reset", daemon.config, "pump1").stdout == "pump1  warming\n"
    publish.rows(RECORDING.times_ns[80:120], RECORDING.values[80:120], first=80)
    wait_for(lambda: seen.count("/score", 40), what="scores after the warm-up")
    answer = edgelstm_cli("stream", "pause", daemon.config, "pump9")
    assert answer.returncode == 2 and 'no stream is named "pump9"' in answer.stderr
    assert edgelstm_cli("stream", "pause", daemon.config).returncode == 2
    assert daemon.stop() == 0
    assert not (daemon.folder / "state" / "control").exists()


def test_requests_over_mqtt_are_off_limited_and_never_retained(make_daemon, subscribe, publish):
    seen = subscribe("edgelstm/gw/response/#", "edgelstm/gw/status")
    daemon = make_daemon(extra='[control]\nenabled = true\nallow = ["ping", "stream/pause"]')
    publish.client.publish(
        "edgelstm/gw/request/ping", b'{"transaction":"old"}', qos=1, retain=True
    ).wait_for_publish(5)
    daemon.start()
    wait_for(lambda: seen.raw("/status")[-1:] == [b"online"], what="online")
    for verb, content in (
        ("ping", b'{"transaction": 7}'), ("status", b"{}"), ("stream/pause", b'{"stream": "x"}'), ("x/y", b""),
        ("ping", b"{"), ("ping", b"[" * 60_000), ("ping", b'{"who": 1}'), ("stream/pause", b"{}"),
    ):  # fmt: skip
        before = len(seen.messages)
        publish.raw(f"edgelstm/gw/request/{verb}", content)
        wait_for(lambda before=before: len(seen.messages) > before, what=f"an answer to {verb}")
    answers = [json.loads(payload) for topic, payload in seen.messages if "/response/" in topic]
    for answer in answers:
        validate(schemas.payload_schema("response"), answer)
    assert answers[0] == {"transaction": 7, "status": "ok", "data": "pong"}
    assert [answer["status"] for answer in answers[1:]] == ["error"] * 7
    assert answers[1]["error"] == '"status" is not in control.allow'
    publish.raw("edgelstm/gw/request/ping", b"x" * 70_000)
    assert daemon.stop() == 0
    counts = daemon.counts()
    assert counts["requests"] == 8
    rewrite(daemon, ("enabled = true", "enabled = false")).start()
    before = len(seen.messages)
    publish.raw("edgelstm/gw/request/ping", b"{}")
    time.sleep(0.3)
    assert not [topic for topic, _ in seen.messages[before:] if "/response/" in topic]
    assert daemon.stop() == 0


OF_DEVICE = {"ids", "name", "mf", "mdl", "sw", "via_device"}
OF_EVERY_COMPONENT = {
    "p", "name", "unique_id", "state_topic", "value_template", "availability", "entity_category", "device_class", "qos",
}  # fmt: skip
OF_COMPONENT = {
    "binary_sensor": {"payload_on", "payload_off", "expire_after", "off_delay"},
    "sensor": {"state_class", "unit_of_measurement", "suggested_display_precision", "expire_after"},
    "event": {"event_types"},
}
CLASSES = {
    "binary_sensor": {"device_class": {"problem", "connectivity"}},
    "sensor": {"device_class": {"data_size"}, "state_class": {"measurement", "total", "total_increasing"}},
    "event": {},
}


def check_discovery(found):
    """Hold a discovery message against what Home Assistant's documentation says of MQTT devices."""
    assert set(found) <= {"dev", "o", "cmps", "availability", "availability_mode", "qos", "state_topic"}
    assert {"dev", "o", "cmps"} <= set(found) and found["o"]["name"]
    assert found["dev"]["ids"] and set(found["dev"]) <= OF_DEVICE and set(found["o"]) <= {"name", "sw", "url"}
    assert len({component["unique_id"] for component in found["cmps"].values()}) == len(found["cmps"])
    for name, component in found["cmps"].items():
        platform = component["p"]
        assert set(component) <= OF_EVERY_COMPONENT | OF_COMPONENT[platform], name
        assert "state_topic" in component or "state_topic" in found, name
        for key, known in CLASSES[platform].items():
            assert component.get(key) in {None, *known}, (name, key)
        assert component.get("entity_category", "diagnostic") == "diagnostic"
        if platform == "event":
            assert component["event_types"] == ["raised", "updated", "cleared"]
        if component.get("device_class") == "data_size":
            assert component["unit_of_measurement"] == "B"


def test_home_assistant_is_told_of_streams_and_again_at_its_birth(make_daemon, subscribe, publish, broker):
    seen = subscribe("homeassistant/device/#", "edgelstm/gw/stream/+/availability")
    daemon = make_daemon(extra="[homeassistant]\nenabled = true", input_extra='stale_after = "1s"').start()
    publish.rows(RECORDING.times_ns[:40], RECORDING.values[:40])
    wait_for(lambda: seen.of("gw_pump1/config") and seen.of("gw/config"), what="the discovery")
    assert {topic for topic, _ in seen.messages if topic.endswith("/config")} == {
        "homeassistant/device/edgelstm_gw_pump1/config",
        "homeassistant/device/edgelstm_gw/config",
    }
    found, node = seen.of("gw_pump1/config")[0], seen.of("gw/config")[0]
    check_discovery(found)
    check_discovery(node)
    assert set(found["cmps"]) == {"problem", "score", "threshold", "alert", "reason"}
    assert found["dev"]["via_device"] in node["dev"]["ids"]
    assert {part["topic"] for part in found["availability"]} == {
        "edgelstm/gw/status",
        "edgelstm/gw/stream/pump1/availability",
    }
    # what is shown is there, in the messages that it is taken from
    health = json.loads(edgelstm_cli("status", "--json", daemon.config).stdout)["health"]
    for component in node["cmps"].values():
        if component["p"] == "sensor":
            value = health
            for key in re.fullmatch(
                r"{{ value_json\.([\w.]+) \| default\(0\) }}", component["value_template"]
            )[1].split("."):
                value = value[key]
            assert isinstance(value, int)
    wait_for(lambda: seen.raw("/availability") == [b"online", b"offline"], what="the silence")
    publish.rows(RECORDING.times_ns[40:50], RECORDING.values[40:50], first=40)
    wait_for(lambda: seen.raw("/availability")[:3] == [b"online", b"offline", b"online"], what="the return")
    publish.raw("homeassistant/status", b"online")
    wait_for(
        lambda: len(seen.of("gw_pump1/config")) == len(seen.of("gw/config")) == 2, 20, "the discovery again"
    )
    assert daemon.stop() == 0
    late = subscribe("homeassistant/device/#")
    wait_for(lambda: late.of("gw_pump1/config") and late.of("gw/config"), what="the retained discovery")


def test_a_stream_that_is_removed_leaves_nothing_behind(make_daemon, subscribe, publish):
    """Its alert is cleared, its retained messages are taken back, its state is deleted; a sample opens it anew."""
    seen = subscribe("homeassistant/device/#", "edgelstm/gw/#")
    daemon = make_daemon(extra="[homeassistant]\nenabled = true").start()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    publish.rows(RECORDING.times_ns[:40], RECORDING.values[:40], node="pump2")
    wait_for(lambda: seen.of("/alert") and seen.of("gw_pump2/config"), what="an alert and the other stream")
    raised = seen.of("/alert")[0]["id"]
    assert edgelstm_cli("stream", "remove", daemon.config, "pump1").stdout == "pump1  removed\n"
    wait_for(lambda: seen.of("/alert")[-1]["event_type"] == "cleared", what="the end of its alert")
    assert (seen.of("/alert")[-1]["id"], seen.of("/alert")[-1]["note"]) == (raised, "the stream was removed")
    validate(schemas.payload_schema("alert"), seen.of("/alert")[-1])
    wait_for(lambda: seen.raw("gw_pump1/config")[-1] == b"", what="the tombstone")
    assert edgelstm_cli("stream", "remove", daemon.config, "pump1").returncode == 2
    assert not list((daemon.folder / "state" / "snapshots").glob("pump1*"))
    late = subscribe("homeassistant/device/#", "edgelstm/gw/stream/#")
    wait_for(lambda: late.of("gw_pump2/config"), what="what is kept")
    time.sleep(0.3)
    assert not [topic for topic, _ in late.messages if "pump1" in topic]
    publish.rows(RECORDING.times_ns[:5], RECORDING.values[:5])
    wait_for(lambda: seen.raw("gw_pump1/config")[-1] != b"", what="the stream that came back")
    streams = json.loads(edgelstm_cli("stream", "list", "--json", daemon.config).stdout)
    assert {stream["stream"]: stream["samples"] for stream in streams} == {"pump1": 5, "pump2": 40}
    assert daemon.stop() == 0


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


def test_metrics_and_health_over_http(make_daemon, subscribe, publish, broker):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    seen = subscribe()
    daemon = make_daemon(extra=f'[metrics]\nlisten = "127.0.0.1:{port}"').start()
    publish.rows(RECORDING.times_ns, RECORDING.values)
    wait_for(lambda: seen.count("/score", 270), what="every score")
    status, page = get(port, "/metrics")
    assert status == 200
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert lines["edgelstm_samples_total"] == "301" or int(lines["edgelstm_samples_total"]) >= 300
    assert lines['edgelstm_mqtt_connected{link="in"}'] == "1"
    assert int(lines["edgelstm_batch_seconds_count"]) >= 1
    assert len(page.splitlines()) < 200
    assert get(port, "/healthz") == (200, "ok\n") and get(port, "/readyz") == (200, "ok\n")
    assert get(port, "/etc/passwd")[0] == 404
    broker.kill()
    wait_for(lambda: get(port, "/readyz")[0] == 503, what="the word that we are not ready")
    assert get(port, "/healthz")[0] == 200  # a broker that is away is no reason to be restarted
    assert daemon.stop() == 0


@pytest.fixture
def notify_socket(tmp_path, monkeypatch):
    """A socket in the place of systemd's, and what was said to it."""
    said = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(0.2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ending = threading.Event()

        def listen():
            while not ending.is_set():
                try:
                    said.extend(sock.recv(4096).decode().splitlines())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield said
        ending.set()
        thread.join()


def test_systemd_hears_that_we_are_ready_alive_reloading_and_gone(make_daemon, notify_socket):
    daemon = make_daemon().start()
    wait_for(lambda: notify_socket.count("WATCHDOG=1") >= 2, what="signs of life")
    assert notify_socket[0] == "READY=1"
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: notify_socket.count("READY=1") == 2, what="the end of the reload")
    assert "RELOADING=1" in notify_socket and "STOPPING=1" not in notify_socket
    assert daemon.stop() == 0
    wait_for(lambda: "STOPPING=1" in notify_socket, what="the end")


@pytest.mark.slow
def test_a_worker_that_stalls_is_not_alive(make_daemon, publish, monkeypatch, notify_socket):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = make_daemon(extra=f'[metrics]\nlisten = "127.0.0.1:{port}"')
    start_faulty(daemon, monkeypatch, "stalled-worker")
    publish.rows(RECORDING.times_ns[:5], RECORDING.values[:5])
    wait_for(lambda: get(port, "/healthz")[0] == 503, 40, "the stall to be seen")
    assert get(port, "/healthz")[1] == "the worker stands still\n"
    before = notify_socket.count("WATCHDOG=1")
    time.sleep(2)
    assert notify_socket.count("WATCHDOG=1") == before
    daemon.kill()


def test_a_reload_that_has_much_to_load_is_alive_and_goes_on_scoring(
    make_daemon, subscribe, publish, tmp_path, monkeypatch, notify_socket
):
    gate, seen = tmp_path / "gate", subscribe()
    monkeypatch.setenv("GATE", str(gate))
    daemon = start_faulty(make_daemon(), monkeypatch, "slow-check")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(gate.with_suffix(".begun").exists, what="the models to be loaded")
    before = notify_socket.count("WATCHDOG=1")
    wait_for(lambda: notify_socket.count("WATCHDOG=1") > before + 2, what="signs of life")
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: seen.count("/score", 70), what="scores")
    assert "RELOADING=1" not in notify_socket
    gate.touch()
    wait_for(lambda: notify_socket.count("READY=1") == 2, what="the end of the reload")
    assert daemon.stop() == 0


def test_a_stop_while_a_reload_loads_is_heeded(make_daemon, subscribe, tmp_path, monkeypatch):
    gate, seen = tmp_path / "gate", subscribe()
    monkeypatch.setenv("GATE", str(gate))
    daemon = start_faulty(make_daemon(), monkeypatch, "slow-check")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(gate.with_suffix(".begun").exists, what="the models to be loaded")
    assert daemon.stop() == 0 and daemon.text().count("event=started") == 1
    wait_for(lambda: seen.raw("/status")[-1:] == [b"offline"], what="the word that we are gone")


def test_a_reload_takes_what_is_right_and_loses_no_sample(make_daemon, subscribe, publish):
    seen, daemon = subscribe(), make_daemon().start()
    publish.rows(RECORDING.times_ns[:100], RECORDING.values[:100])
    wait_for(lambda: seen.count("/score", 70), what="the first scores")
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("[mqtt]", "[mqtt]\nulr = 1"))
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: seen.of("/event"), what="a word about the mistake")
    assert (
        seen.of("/event")[0]["event"] == "reload-refused"
        and 'did you mean "url"' in seen.of("/event")[0]["detail"]
    )
    validate(schemas.payload_schema("event"), seen.of("/event")[0])
    daemon.config.write_text(good.replace('"plant/+/telemetry"', '"plant/+/telemetry", "other/+/telemetry"'))
    daemon.process.send_signal(signal.SIGHUP)
    publish.rows(RECORDING.times_ns[100:200], RECORDING.values[100:200], first=100)
    wait_for(lambda: daemon.text().count("event=started") == 2, what="the reload")
    publish.rows(RECORDING.times_ns[200:], RECORDING.values[200:], first=200)
    wanted = scores()
    wait_for(lambda: seen.count("/score", len(wanted)), what="every score")
    assert [score["score"] for score in seen.of("/score")] == wanted
    assert seen.raw("/status") == [b"online"] * len(seen.raw("/status"))  # a reload is no absence
    assert daemon.stop() == 0


def test_a_log_in_json(make_daemon):
    daemon = make_daemon()
    rewrite(daemon, ('name = "gw"', 'name = "gw"\nlog_format = "json"')).start()
    assert daemon.stop() == 0
    lines = [json.loads(line) for line in daemon.text().splitlines()]
    assert any(line["message"].startswith("event=started") for line in lines)
    assert {line["level"] for line in lines} <= {"info", "warning"}


def test_a_password_is_never_shown(make_daemon, broker, tmp_path, monkeypatch):
    (tmp_path / "mqtt-password").write_text("hunter-zwei\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    daemon = make_daemon(mqtt='username = "me"').start()
    status = edgelstm_cli("status", "--json", daemon.config)
    shown = edgelstm_cli("config", "show", daemon.config)
    assert daemon.stop() == 0
    command_line = " ".join(map(str, daemon.process.args))
    for text in (daemon.text(), status.stdout, shown.stdout, command_line):
        assert text and "hunter" not in text
    assert os.environ["CREDENTIALS_DIRECTORY"]


def test_schemas_and_samples_are_printed():
    sample = edgelstm_cli("config", "sample")
    assert sample.returncode == 0 and "[[input]]" in sample.stdout
    assert json.loads(edgelstm_cli("config", "schema").stdout)["properties"]["mqtt"]["properties"]["url"] == {
        "type": "string"
    }
    alert = json.loads(edgelstm_cli("schema", "alert").stdout)
    assert alert["properties"]["event_type"]["enum"] == ["raised", "updated", "cleared"]
    assert edgelstm_cli("config", "show").returncode == 2
    assert msgspec.json.decode(edgelstm_cli("schema", "health").stdout)["required"]
