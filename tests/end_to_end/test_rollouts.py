"""A new version of a model on a running daemon, by request over MQTT: shadow, probation, and what takes it back."""

import base64
import dataclasses
import hashlib
import json

import msgspec
import pytest
from test_faults import start_faulty
from test_operation import edgelstm_cli, validate

import edgelstm
from edgelstm import model_file, schemas
from edgelstm.sample import Sample
from edgelstm_firmware_sim import record
from rig import MODEL, wait_for
from test_daemon import LOADED, rounded

pytestmark = pytest.mark.slow
CONTROL = '[control]\nenabled = true\nallow = ["model/list", "model/install", "model/activate", "model/rollback", "status"]'
SHADOWED = 50
LONG = record("pump", 60, 3)


@pytest.fixture
def gateway(make_daemon, subscribe, publish, tmp_path):
    return Gateway(make_daemon, subscribe(), publish, tmp_path)


class Gateway:
    """A daemon with a small shadow, and who speaks to it."""

    def __init__(self, make_daemon, seen, publish, folder, mode="strict"):
        self.seen, self.publish, self.folder = seen, publish, folder
        self.daemon = make_daemon(extra=f'{CONTROL}\n[durability]\nmode = "{mode}"')
        text = self.daemon.config.read_text()
        self.daemon.config.write_text(
            text.replace(
                'name = "pump"\n', f'name = "pump"\nshadow_samples = {SHADOWED}\nalert_budget = 1\n', 1
            )
        )
        self.sent = self.asked = 0

    def send(self, count, recording=LONG):
        """Publish the next samples, and wait until they are scored; phases change between batches, so a few at a time."""
        end = self.sent + count
        while self.sent < end:
            rows = slice(self.sent, min(self.sent + 5, end))
            self.publish.rows(recording.times_ns[rows], recording.values[rows], first=self.sent)
            self.sent = rows.stop
            wait_for(lambda: self.seen.count("/score", max(0, self.sent - 30)), what="every score")

    def ask(self, verb, **request):
        """Return the answer to a request over MQTT."""
        self.asked += 1
        number = self.asked
        self.publish.raw(
            f"edgelstm/gw/request/{verb}", json.dumps({"transaction": number, **request}).encode()
        )
        found = lambda: [a for a in self.seen.of(f"/response/{verb}") if a["transaction"] == number]  # noqa: E731
        return wait_for(found, what=f"an answer to {verb}")[0]

    def version(self, name="newer", **settings):
        """Install another version of the model, which says the same, over MQTT; return its name."""
        path = self.folder / f"{name}.elstm"
        changed = msgspec.structs.replace(LOADED.model.detector_settings, **settings)
        model_file.save(dataclasses.replace(LOADED.model, name=name, detector_settings=changed), path)
        content = path.read_bytes()
        answer = self.ask(
            "model/install", model="pump", content=base64.b64encode(content).decode(),
            sha256=hashlib.sha256(content).hexdigest(),
        )  # fmt: skip
        assert answer["status"] == "ok", answer
        return answer["data"]["version"]

    def stand(self):
        """Return what the daemon's health says of the model."""
        return self.ask("status")["data"]["health"]["models"]["pump"]

    def events(self):
        return [event["event"] for event in self.seen.of("gw/event")]

    def models_of_scores(self):
        return self.seen.of("/state")[-1]["model"]


def scored_alone():
    """What one version alone says of every sample, by time."""
    detector = edgelstm.load(MODEL).detector()
    found = [detector.push(Sample(v, t)) for t, v in zip(rounded(LONG), LONG.values, strict=True)]
    return [verdict.score for verdict in found if verdict is not None]


def test_a_version_is_installed_tried_and_put_in_force_by_requests(gateway):
    gateway.daemon.start()
    gateway.send(100)
    calm = {
        "phase": "in force",
        "candidate": None,
        "samples": None,
        "samples_wanted": None,
        "last_rollback": None,
    }
    assert gateway.stand() == {"version": LOADED.digest[:12], **calm}
    version = gateway.version()
    answer = gateway.ask("model/activate", model="pump", version=version)
    assert answer["data"] == {"model": "pump", "version": version, "phase": "shadow", "samples": 0}
    gateway.send(SHADOWED - 5)
    (listed,) = gateway.ask("model/list")["data"]
    assert listed["active"] == LOADED.digest[:12] and listed["versions"] == [version]
    assert (listed["phase"], listed["samples"]) == ("shadow", SHADOWED - 5)
    counted = {"samples": SHADOWED - 5, "samples_wanted": SHADOWED}
    assert gateway.stand() == {
        **calm,
        **counted,
        "version": LOADED.digest[:12],
        "phase": "shadow",
        "candidate": version,
    }
    shown = edgelstm_cli("status", gateway.daemon.config).stdout
    assert f"in force, {version} in the shadow, {SHADOWED - 5} of {SHADOWED} samples\n" in shown
    assert f"{version}.elstm  in the shadow\n" in edgelstm_cli("model", "list", gateway.daemon.config).stdout
    gateway.send(20)
    stand = gateway.stand()
    assert (stand["version"], stand["phase"], stand["candidate"]) == (version, "probation", None)
    gateway.send(2 * SHADOWED)
    wait_for(
        lambda: gateway.events()[-3:] == ["model-shadow", "model-probation", "model-passed"], what="the end"
    )
    gateway.send(10)
    assert gateway.ask("model/list")["data"][0]["active"] == version
    assert gateway.stand() == {"version": version, **calm}
    wait_for(lambda: gateway.seen.of("gw/info")[-1]["models"]["pump"][:12] == version, what="who we are")
    # the new one was warm: every sample has one score, and none was missed
    times = [score["ts"] for score in gateway.seen.of("/score")]
    assert len(times) == len(set(times)) == gateway.sent - 30
    assert gateway.daemon.stop() == 0
    gateway.daemon.start()  # it stays in force
    gateway.send(20)
    assert gateway.ask("model/list")["data"][0]["active"] == version
    assert gateway.daemon.stop() == 0


@pytest.mark.parametrize("phase", ["shadow", "probation"])
@pytest.mark.parametrize("fault", ["bad-scores", "bad-exception", "bad-slow", "alerts"])
def test_a_version_that_fails_is_taken_back_and_no_score_is_wrong(gateway, monkeypatch, fault, phase):
    """What a version named `bad-...` does is done around it by faults.py; `alerts` is one with too low a threshold."""
    after = 0 if phase == "shadow" else SHADOWED + 10
    start_faulty(gateway.daemon, monkeypatch, f"{fault}:{after}" if fault != "alerts" else "")
    gateway.send(100)
    if fault == "alerts":
        if phase == "probation":
            pytest.skip("a threshold does not change by itself")
        nervous = {
            "threshold": 1.0,
            "threshold_low": 1.0,
            "threshold_high": 1.0,
            "raise_after": 1,
            "clear_after": 1,
        }
        version = gateway.version("nervous", clear_ratio=1.0, cooldown_ns=0, **nervous)
    else:
        version = gateway.version(fault)
    assert gateway.ask("model/activate", model="pump", version=version)["status"] == "ok"
    gateway.send(200)
    wait_for(lambda: gateway.events()[-1] == "model-failed", what="that it was taken back")
    assert ("model-probation" in gateway.events()) == (phase == "probation")
    reason = gateway.seen.of("gw/event")[-1]["detail"]
    expected = {
        "bad-scores": "not finite",
        "bad-exception": "a bug",
        "bad-slow": "us a sample",
        "alerts": "alerts where",
    }
    assert expected[fault] in reason
    scores = [score["score"] for score in gateway.seen.of("/score")]
    # the new version is the same network: only its warm-up is shorter, so what the old one says is known to the bit
    alone = scored_alone()[: len(scores)]
    assert len(scores) == gateway.sent - 30
    by_old = [score == known for score, known in zip(scores, alone, strict=True)]
    assert all(by_old) if phase == "shadow" else all(by_old[:120]) and all(by_old[-100:])
    assert not [a for a in gateway.seen.of("/alert") if a["model_version"] == version]
    assert gateway.ask("model/list")["data"][0]["active"] == LOADED.digest[:12]
    stand = gateway.stand()
    assert (stand["version"], stand["phase"]) == (LOADED.digest[:12], "in force")
    assert stand["last_rollback"]["version"] == version and stand["last_rollback"]["reason"] in reason

    validate(schemas.PAYLOADS["health"], gateway.ask("status")["data"]["health"])
    assert gateway.daemon.stop() == 0
    assert gateway.daemon.counts()["models_rolled_back"] == 1
    gateway.daemon.start()  # it is still known why
    assert gateway.stand()["last_rollback"] == stand["last_rollback"]
    assert f"{version} was taken back 20" in edgelstm_cli("status", gateway.daemon.config).stdout


def test_back_to_the_version_before_by_request_and_from_the_command_line(gateway):
    daemon = gateway.daemon.start()
    gateway.send(100)
    version = gateway.version()
    answer = gateway.ask("model/activate", model="pump", version=version)
    again = gateway.ask("model/activate", model="pump", version=version)
    assert "a change is on its way (shadow)" in again["error"]
    assert gateway.ask("model/rollback", model="pump")["data"]["version"] == LOADED.digest[:12]
    wait_for(lambda: gateway.events()[-1] == "model-failed", what="the end of the shadow")
    told = edgelstm_cli("model", "activate", daemon.config, "pump", version).stdout
    assert f"{version} runs in the shadow" in told and answer["status"] == "ok"
    gateway.send(2 * SHADOWED + 20)
    wait_for(lambda: gateway.events()[-1] == "model-passed", what="the change")
    told = edgelstm_cli("model", "rollback", daemon.config, "pump").stdout
    assert f"{LOADED.digest[:12]} is in force from the next sample on" in told
    gateway.send(20)
    wait_for(
        lambda: (
            gateway.seen.of("/state") and gateway.ask("model/list")["data"][0]["active"] == LOADED.digest[:12]
        ),
        what="it",
    )
    nothing = gateway.ask("model/rollback", model="pump")
    assert "nothing to go back to" in nothing["error"]
    assert daemon.stop() == 0
    told = edgelstm_cli("model", "activate", daemon.config, "pump", version).stdout
    assert f"{version} is in force from the next start on: no daemon is running" in told
    assert f"* pump  {version}" in edgelstm_cli("model", "list", daemon.config).stdout
    refused = edgelstm_cli("model", "activate", daemon.config, "pump", "000000000000")
    assert refused.returncode == 2 and "has no version" in refused.stderr


@pytest.mark.parametrize("when", ["shadow", "probation"])
def test_a_kill_in_the_middle_of_a_change(gateway, when):
    """The change goes on after the restart, and no sample counts in two versions."""
    daemon = gateway.daemon.start()
    gateway.send(100)
    version = gateway.version()
    gateway.ask("model/activate", model="pump", version=version)
    gateway.send(SHADOWED - 10 if when == "shadow" else SHADOWED + 10)
    daemon.kill()
    daemon.start()
    first = gateway.sent - 20  # some of them were judged before
    while gateway.ask("model/list")["data"][0].get("phase"):
        rows = slice(first, first + 5)
        gateway.publish.rows(LONG.times_ns[rows], LONG.values[rows], first=first)
        first += 5
        assert first < len(LONG.values), "the new version has to be in force by now"
    assert gateway.ask("model/list")["data"][0]["active"] == version
    times = [score["ts"] for score in gateway.seen.of("/score")]
    assert len(times) == len(set(times))
    assert daemon.stop() == 0


def test_what_is_refused(gateway, tmp_path):
    gateway.daemon.start()
    gateway.send(40)
    good = MODEL.read_bytes()
    content, sha256 = base64.b64encode(good).decode(), hashlib.sha256(good).hexdigest()
    for verb, request, error in (
        (
            "model/install",
            {"model": "pump", "content": content, "sha256": "00" * 32},
            "is not the file that sha256 names",
        ),
        ("model/install", {"model": "pump", "content": "%", "sha256": sha256}, "has to be base64"),
        ("model/install", {"model": "pump", "content": content}, '"sha256" is missing'),
        (
            "model/install",
            {"model": "fan", "content": content, "sha256": sha256},
            'no [[model]] is named "fan"',
        ),
        ("model/activate", {"model": "pump", "version": "../../x"}, "has no version"),
        ("model/activate", {"model": "pump", "version": "configured"}, "is active already"),
        ("model/rollback", {"model": "pump"}, "nothing to go back to"),
        ("model/rollback", {"model": 1}, '"model" is missing'),
    ):
        assert error in gateway.ask(verb, **request)["error"]
    damaged = good[:-1] + bytes([good[-1] ^ 1])
    answer = gateway.ask(
        "model/install",
        model="pump",
        content=base64.b64encode(damaged).decode(),
        sha256=hashlib.sha256(damaged).hexdigest(),
    )
    assert "model.elstm: " in answer["error"] and str(tmp_path) not in answer["error"]
    version = gateway.version("other", period_ns=2 * LOADED.model.detector_settings.period_ns)
    assert (
        "is for samples every 0.2 s" in gateway.ask("model/activate", model="pump", version=version)["error"]
    )
    assert gateway.daemon.stop() == 0


def test_a_signature_is_asked_for_where_there_is_a_key(gateway, tmp_path):
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    private = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "release.pub").write_bytes(private.public_key().public_bytes_raw())
    config = gateway.daemon.config
    config.write_text(config.read_text().replace("[control]\n", '[control]\npublic_key = "release.pub"\n'))
    gateway.daemon.start()
    wait_for(lambda: "link=out event=subscribed" in gateway.daemon.text(), what="that requests are heard")
    good = MODEL.read_bytes()
    digest = hashlib.sha256(good)
    request = {"model": "pump", "content": base64.b64encode(good).decode(), "sha256": digest.hexdigest()}
    assert "is no signature" in gateway.ask("model/install", **request, signature="00" * 64)["error"]
    assert "expected 64 bytes" in gateway.ask("model/install", **request)["error"]
    answer = gateway.ask("model/install", **request, signature=private.sign(digest.digest()).hex())
    assert answer["data"]["version"] == LOADED.digest[:12]
    assert gateway.daemon.stop() == 0
