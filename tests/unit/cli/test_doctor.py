"""Patterns of subjects, as a NATS server understands them."""

import pytest

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
