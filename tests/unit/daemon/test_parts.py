"""Snapshots, inbox, routes and the choice of what to acknowledge."""

import threading

import pytest

from edgelstm.config import Config, DurabilityConfig, InputConfig, stream_name
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.inbox import Inbox
from edgelstm.daemon.saving import Saving
from edgelstm.daemon.snapshots import Snapshots
from edgelstm.errors import SnapshotError, UnavailableError
from edgelstm.message import Message
from edgelstm.mqtt_client import Received
from edgelstm.mqtt_link import Link


def message(number, qos=1, generation=1):
    return Message("t", b"%d" % number, number, qos, generation, False, 0)


def test_the_generation_before_is_taken_where_the_newest_is_damaged(tmp_path):
    snapshots, restored = Snapshots(tmp_path / "s"), []

    def restore(content):
        if b"bad" in content:
            raise SnapshotError("damaged")
        restored.append(content)

    assert snapshots.load("pump", restore) == (None, [])
    snapshots.save("pump", 10, b"first")
    snapshots.save("pump", 20, b"second")
    assert snapshots.load("pump", restore) == (20, [])
    snapshots.save("pump", 30, b"bad")
    assert snapshots.load("pump", restore) == (20, ["pump.snapshot: damaged"])
    assert restored == [b"second", b"second"]
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["pump.snapshot", "pump.snapshot.1"]


def test_a_place_where_no_snapshot_can_be_kept(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match=r"cannot be made: .*; set node\.state_dir"):
        Snapshots(tmp_path / "file" / "snapshots")


def test_a_full_inbox_drops_only_what_is_not_acknowledged():
    counters = Counters()
    inbox = Inbox(3, counters)
    for number, qos in enumerate([1, 0, 0, 1, 1, 1]):
        inbox.put(message(number, qos))
    assert [m.mid for m in inbox.take(0.0)] == [0, 3, 4, 5]
    assert counters.snapshot() == {"dropped_queue_full": 2}


def test_a_closed_inbox_gives_nothing_out():
    inbox = Inbox(3, Counters())
    inbox.put(message(1))
    inbox.close()
    assert inbox.take(1.0) == []


@pytest.mark.parametrize(
    ("template", "topic", "name"),
    [
        ("{topic}", "plant/line 1/pump", "plant_line_1_pump"),
        ("{1}_{2}", "plant/l1/p7", "l1_p7"),
        ("{0}-{5}", "plant", "plant-"),
        ("{1}", "a/../b", "_"),
        ("{1}", "a/.hidden", "hidden"),
    ],
)
def test_names_of_streams_have_no_way_out_of_their_folder(template, topic, name):
    found = stream_name(InputConfig(name="i", topics=("#",), model="m", stream=template), topic)
    assert found == name
    assert "/" not in found


def test_nothing_is_acknowledged_on_another_connection():
    acknowledged = []
    link = Link(Config(), "in")
    link._client.acknowledge = acknowledged.append
    link._up.set()
    link._client.user_data_set(2)
    link.acknowledge([message(1, generation=1), message(2, qos=0, generation=2)])
    link.acknowledge([message(1, generation=1), message(3, generation=2), message(4, generation=2)])
    link._up.clear()
    link.acknowledge([message(5, generation=2)])
    assert acknowledged == [[3, 4]]


def test_a_callback_that_fails_does_not_end_the_thread(caplog):
    def fail(received):
        raise ValueError("out of order")

    link = Link(Config(), "in", on_messages=fail)
    link._client.on_batch(link._client, [Received("t", b"", 1, 1, False, False)])
    assert "callback-failed" in caplog.text


def test_complaints_are_counted_always_and_said_once(caplog):
    counters = Counters()
    for _ in range(100):
        counters.complain("malformed", "plant/x", "no JSON")
    counters.complain("malformed", "plant/y", "no JSON")
    assert counters.snapshot() == {"malformed": 101}
    assert len(caplog.records) == 2


class OneStream:
    """What is saved of a stream: always something new, of one block."""

    name = "pump"

    def save(self, snapshots):
        return snapshots.save(self.name, 1, b"state")


def test_a_burst_of_snapshots_is_synced_once_and_by_a_thread_of_its_own(tmp_path, monkeypatch):
    synced, saving = [], saving_of(tmp_path, "alerts")
    monkeypatch.setattr("edgelstm.daemon.saving.os.sync", lambda: synced.append(threading.current_thread()))
    monkeypatch.setattr("edgelstm.daemon.saving.SLICE_S", 10.0)
    saving.some()
    saving.add(["pump"] * 5)
    assert saving and not synced
    saving.some()
    saving.some()  # nothing new
    assert not saving
    assert [thread.name for thread in synced] == ["sync"]
    assert (tmp_path / "s" / "pump.snapshot.1").exists()


def test_nothing_is_saved_where_nothing_is_durable(tmp_path):
    saving = saving_of(tmp_path, "none")
    saving.add(["pump"])
    saving.all()
    assert not list((tmp_path / "s").iterdir())


def saving_of(folder, mode):
    return Saving(Snapshots(folder / "s"), {"pump": OneStream()}, Counters(), DurabilityConfig(mode=mode))
