"""What doctor and check say of credentials, and patterns of subjects as a NATS server understands them."""

from importlib.resources import files

import pytest

from edgelstm.cli import main
from edgelstm.cli.doctor import hint_on
from edgelstm.cli.doctor_nats import overlap


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("shard.0.>", "shard.>", True),
        ("shard.0.>", "shard.1.>", False),
        ("plant.*.telemetry", "plant.pump7.telemetry", True),
        ("plant.*.telemetry", "plant.pump7", False),
        ("plant.pump7", "plant.*.telemetry", False),
        (">", "a.b", True),
        ("a.*", "*.b", True),
    ],
)
def test_what_can_match_both(one, other, expected):
    assert overlap(one, other) == overlap(other, one) == expected


@pytest.mark.parametrize(
    ("error", "key"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "mqtt.ca_file"),
        ("the broker refused: Not authorized", "mqtt.password_file"),
        ("the broker refused: Bad user name or password", "mqtt.password_file"),
    ],
)
def test_what_a_broker_said_names_the_keys_that_it_is_about(error, key):
    assert key in hint_on(error)
    assert hint_on("Connection refused") == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('url = "mqtt://127.0.0.1"\nusername = "gw"\npassword_file = "absent"', "mqtt.password_file: "),
        ('url = "mqtts://127.0.0.1"\nca_file = "absent"', "the certificate files cannot be used"),
    ],
)
def test_check_reads_what_the_daemon_will_need(tmp_path, capsys, line, message):
    model = files("edgelstm") / "models" / "pump.elstm"
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'[mqtt]\n{line}\n[[model]]\nname = "pump"\npath = "{model}"\n'
        '[[input]]\nname = "pumps"\ntopics = ["plant/+"]\nmodel = "pump"\n'
    )
    assert main(["check", str(config)]) == 78
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and str(config) in said
