"""Every mistake in a configuration is one line with file, key and what to do."""

import pytest

from edgelstm import config, topic_filters
from edgelstm.errors import ConfigError

GOOD = """
[node]
name = "Gate way 1"
[mqtt]
url = "mqtt://broker.local:1884"
keepalive = "2500ms"
[durability]
outbox_max_bytes = "1.5MiB"
[[model]]
name = "pump"
path = "models/pump.elstm"
[[input]]
name = "pumps"
topics = ["plant/+/telemetry"]
model = "pump"
timestamp = "ts"
"""


def load(tmp_path, text, **environment):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return config.load(path, environment)


def test_defaults_units_and_paths(tmp_path):
    found = load(tmp_path, GOOD)
    assert found.node_name == "Gate_way_1"
    assert found.client_id == "edgelstm-Gate_way_1"
    assert (found.broker.hostname, found.broker.port) == ("broker.local", 1884)
    assert found.mqtt.keepalive == 2.5
    assert found.durability.outbox_max_bytes == 3 << 19
    assert found.durability.mode == "alerts"
    assert found.model[0].path == str(tmp_path.resolve() / "models" / "pump.elstm")
    assert found.input[0].qos == 1


def test_the_environment_overrides(tmp_path):
    found = load(tmp_path, GOOD, EDGELSTM__MQTT__URL="mqtt://other", EDGELSTM__LIMITS__MAX_STREAMS="7")
    assert found.mqtt.url == "mqtt://other"
    assert found.limits.max_streams == 7
    with pytest.raises(ConfigError, match="EDGELSTM__MQTT: expected EDGELSTM__SECTION__KEY"):
        load(tmp_path, GOOD, EDGELSTM__MQTT="x")
    with pytest.raises(ConfigError, match=r'mqtt\.ulr: unknown key; did you mean "url"'):
        load(tmp_path, GOOD, EDGELSTM__MQTT__ULR="x")


def test_a_number_in_the_environment_is_a_number_only_where_one_is_wanted(tmp_path):
    found = load(tmp_path, GOOD, EDGELSTM__MQTT__USERNAME="1234", EDGELSTM__NODE__NAME="7")
    assert (found.mqtt.username, found.node_name) == ("1234", "7")
    with pytest.raises(ConfigError, match="limits: is 3, expected a table"):
        load(tmp_path, "limits = 3\n" + GOOD, EDGELSTM__LIMITS__QUEUE="2000")
    with pytest.raises(ConfigError, match=r"mqtt\.receive_maximum: expected `int`, got `str`"):
        load(tmp_path, GOOD, EDGELSTM__MQTT__RECEIVE_MAXIMUM="many")


MISTAKES = {
    "level": (('model = "pump"\n', 'model = "pump"\nstream = "{5}"\n'), r'input\[0\]\.stream: is "\{5\}", but "plant/\+/telemetry" has only the levels \{0\} to \{2\}'),
    "section": (("[node]", "[nodes]"), r'nodes: unknown key; did you mean "node"\?'),
    "key": (("url =", "ulr ="), r'mqtt\.ulr: unknown key; did you mean "url"\?'),
    "key of a list": (("topics =", "topic ="), r'input\[0\]\.topic: unknown key; did you mean "topics"\?|input.*missing'),
    "nothing alike": (("keepalive =", "zzz ="), r"mqtt\.zzz: unknown key; known here: url, protocol"),
    "missing": (('model = "pump"\n', ""), r"input\[0\]\.model: is missing"),
    "type": (('name = "Gate way 1"', "name = 3"), r"node\.name: expected `str`, got `int`"),
    "duration": (('"2500ms"', '"500"'), r'mqtt\.keepalive: is \'500\', expected a number and one of ms, s,'),
    "duration as number": (('"2500ms"', "5"), r'mqtt\.keepalive: is 5, expected a number and one of'),
    "size": (('"1.5MiB"', '"1.5MB"'), r"durability\.outbox_max_bytes: is '1\.5MB'"),
    "choice": (("[durability]", '[durability]\nmode = "safe"'), r"durability\.mode: invalid enum value 'safe'"),
    "url": (("mqtt://broker.local:1884", "http://broker"), r'mqtt\.url: is "http://broker", expected mqtt://HOST:PORT'),
    "port": (("1884", "99999"), r'mqtt\.url: is "mqtt://broker\.local:99999", expected'),
    "host": (("broker.local:1884", "[::1"), r'mqtt\.url: is "mqtt://\[::1", expected'),
    "user in url": (("mqtt://", "mqtt://me:secret@"), r"^(?!.*secret).*mqtt\.url: holds a user; set mqtt\.username"),
    "range": (('"2500ms"', '"1ms"'), r"mqtt\.keepalive: is 0\.001s, expected 1 to 65535s"),
    "range of sizes": (('"1.5MiB"', '"1B"'), r"durability\.outbox_max_bytes: is 1 bytes, expected 65536 to"),
    "attribute": (('model = "pump"\n', 'model = "pump"\nstream = "{topic.x}"\n'), r'input\[0\]\.stream: is "\{topic\.x\}"'),
    "raw with a time": (('timestamp = "ts"', 'timestamp = "ts"\nformat = "raw"'), r'input\[0\]\.timestamp: has no meaning for format "raw"'),
    "topics and a source": (("[[input]]", '[[input]]\nsource = "stdin:"'), r"input\[0\]: needs either topics of the broker or a source"),
    "source": (('topics = ["plant/+/telemetry"]', 'source = "tty:/dev/x"'), r'input\[0\]\.source: is "tty:/dev/x", expected one of stdin:'),
    "no subject": (('topics = ["plant/+/telemetry"]', 'source = "nats:S"'), r"input\[0\]\.subject: is missing: what of the stream"),
    "a subject of nothing": (('topics = ["plant/+/telemetry"]', 'topics = ["plant/+/telemetry"]\nsubject = "a.>"'), r"input\[0\]\.subject: belongs to a source of nats:"),
    "subject": (('topics = ["plant/+/telemetry"]', 'source = "nats:S"\nsubject = "plant/+"'), r'input\[0\]\.subject: is "plant/\+", expected one of NATS'),
    "subject of our own": (('topics = ["plant/+/telemetry"]', 'source = "nats:S"\nsubject = ">"'), r'input\[0\]\.subject: ">" would feed our own output'),
    "user in url of nats": (('[[input]]\nname = "pumps"\ntopics = ["plant/+/telemetry"]', '[nats]\nurl = "nats://me:secret@x"\n[[input]]\nname = "pumps"\nsource = "nats:S"\nsubject = "a.*"'), r"^(?!.*secret).*nats\.url: holds a user"),
    "raw lines": (('topics = ["plant/+/telemetry"]', 'source = "stdin:"\nformat = "msgpack"'), r'"msgpack" does not come in lines'),
    "no channel": (('timestamp = "ts"', 'format = "scalar"'), r"input\[0\]\.channel: is missing"),
    "own time": (('timestamp = "ts"', 'timestamp = "ts"\nformat = "influx"'), r'input\[0\]\.timestamp: is "ts", expected "own" or "arrival"'),
    "key without a path": (('timestamp = "ts"', 'timestamp = "ts"\nstream = "{key}"'), r"input\[0\]\.stream: uses \{key\}, but input\[0\]\.key is not set"),
    "version": (("[node]", "config_version = 2\n[node]"), r"config_version: is 2; this edgelstm knows 1"),
    "model": (('model = "pump"', 'model = "pmup"'), r'input\[0\]\.model: no \[\[model\]\] is named "pmup"; did you mean "pump"'),
    "two models": (("[[input]]", '[[model]]\nname = "pump"\npath = "x"\n[[input]]'), r'model: two are named "pump"'),
    "filter": (('"plant/+/telemetry"', '"plant/a+/x"'), r'input\[0\]\.topics: "plant/a\+/x" is no topic filter'),
    "loop": (('"plant/+/telemetry"', '"+/+/stream/#"'), r"would feed our own output"),
    "stream": (('model = "pump"\n', 'model = "pump"\nstream = "{plant}"\n'), r'input\[0\]\.stream: is "\{plant\}"'),
    "qos": (('model = "pump"\n', 'model = "pump"\nqos = 2\n'), r"input\[0\]\.qos: is 2, expected 0 to 1"),
    "queue": (("[durability]", "[limits]\nqueue = 10\n[durability]"), r"limits\.queue: is 10, less than mqtt\.receive_maximum"),
    "table": (('timestamp = "ts"', "[durabilty]"), r'durabilty: unknown key; did you mean "durability"'),
    "toml": (("[mqtt]", "[mqtt"), r"is no TOML: "),
    "no input": (('[[input]]\nname = "pumps"\ntopics = ["plant/+/telemetry"]\nmodel = "pump"\ntimestamp = "ts"\n', ""),
                 r"input: no \[\[input\]\] is configured"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_names_file_and_key(tmp_path, case):
    change, message = MISTAKES[case]
    assert change[0] in GOOD
    with pytest.raises(ConfigError, match=message) as raised:
        load(tmp_path, GOOD.replace(*change))
    assert str(raised.value).startswith(str(tmp_path / "gateway.toml") + ": ")
    assert "\n" not in str(raised.value)


def test_strict_needs_to_recognise_repeats(tmp_path):
    text = GOOD.replace("[durability]", '[durability]\nmode = "strict"').replace('timestamp = "ts"', "")
    with pytest.raises(ConfigError, match="a redelivered sample cannot be recognised"):
        load(tmp_path, text)
    assert load(tmp_path, text + 'sequence = "n"\n').durability.mode == "strict"


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        config.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/#", "a", True), ("a/#", "a/b/c", True), ("#", "x", True),
        ("a/b", "a", False), ("a/+", "a/b/c", False), ("+/b", "a/c", False), ("a/+/c", "a/b/#", True),
    ],
)  # fmt: skip
def test_topic_filters(one, other, overlap):
    assert topic_filters.filters_overlap(one, other) is overlap
    assert topic_filters.filters_overlap(other, one) is overlap


@pytest.mark.parametrize("text", ["15s", "500ms", "7d", "2h", "1m", "0.5ms", "90s"])
def test_durations_are_written_as_they_are_read(text):
    assert config.written(config._convert(config.Duration, text)) == text


@pytest.mark.parametrize("text", ["1B", "256KiB", "32MiB", "1.5KiB"])
def test_sizes_are_written_as_they_are_read(text):
    value = config._convert(config.Size, text)
    assert config._convert(config.Size, config.written(value)) == value
