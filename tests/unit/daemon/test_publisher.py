"""What is published, in which order, and when it is forgotten: the publisher on a link that does as it is told."""

import queue
import sqlite3

import pytest

from edgelstm.config import Config
from edgelstm.daemon.counters import Counters
from edgelstm.daemon.publisher import MOST_SCORES, WINDOW, Publisher
from edgelstm.mqtt_link import Sent
from edgelstm.outbox import Outbox, Outgoing


class FakeLink:
    def __init__(self):
        self.generation, self.connected, self.sent, self.published, self._mid = (
            0,
            False,
            [],
            queue.SimpleQueue(),
            0,
        )

    def connect(self):
        self.generation, self.connected, self.sent, self._mid = self.generation + 1, True, [], 0

    def publish(self, topic, payload, *, qos=0, retain=False):
        if not self.connected:
            return None
        self._mid += 1
        self.sent.append((topic, payload, qos, retain, Sent(self.generation, self._mid)))
        return self.sent[-1][-1]

    def alerts(self):
        return [payload for topic, payload, *_ in self.sent if topic.endswith("/alert")]

    def acknowledge(self, payload, taken=True):
        self.published.put((next(m[-1] for m in self.sent if m[1] == payload), taken))


class Bench:
    """A publisher whose thread is the test."""

    def __init__(self, path):
        self.counters, self.link = Counters(), FakeLink()
        self.publisher = Publisher(
            Config(), path, self.counters, info=lambda: b"info", health=lambda: b"health"
        )
        self.publisher.link = self.link
        self.outbox = Outbox(path)

    def decide(self, *payloads):
        self.outbox.commit([Outgoing("e/g/stream/s/alert", payload, "raised") for payload in payloads], [])

    def turn(self):
        self.publisher._turn(self.outbox)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path / "db")
    yield made
    made.outbox.close()


def numbered(first, end):
    return [b"%d" % n for n in range(first, end)]


def test_alerts_are_sent_once_and_forgotten_when_the_broker_has_them(bench):
    bench.link.connect()
    bench.decide(b"1", b"2")
    bench.turn()
    bench.turn()
    assert bench.link.alerts() == [b"1", b"2"]
    bench.link.acknowledge(b"1")
    bench.turn()
    assert [m.payload for m in bench.outbox.messages_after(0, 9)] == [b"2"]
    assert bench.counters.snapshot()["alerts_delivered"] == 1


def test_no_more_are_on_their_way_than_the_window_allows(bench):
    bench.link.connect()
    bench.decide(*numbered(0, WINDOW + 10))
    bench.turn()
    assert bench.link.alerts() == numbered(0, WINDOW)
    for payload in numbered(0, 10):
        bench.link.acknowledge(payload)
    bench.turn()
    assert bench.link.alerts() == numbered(0, WINDOW + 10)


def test_a_new_connection_begins_with_the_oldest_that_was_not_taken(bench):
    bench.link.connect()
    bench.decide(b"raised", b"updated")
    bench.turn()
    bench.link.acknowledge(b"raised")
    bench.turn()
    late = bench.link.sent[-1][-1]  # of "updated": its acknowledgement comes when the connection is gone
    bench.link.connected = False
    bench.decide(b"cleared")
    bench.turn()
    bench.link.connect()
    bench.turn()
    assert bench.link.alerts() == [b"updated", b"cleared"]
    bench.link.published.put((late, True))  # the same id as a message of this connection may have
    bench.turn()
    assert [m.payload for m in bench.outbox.messages_after(0, 9)] == [b"updated", b"cleared"]


def test_what_the_broker_refuses_stays_for_the_next_connection(bench):
    bench.link.connect()
    bench.decide(b"1")
    bench.turn()
    bench.link.acknowledge(b"1", taken=False)
    bench.turn()
    bench.turn()
    assert bench.link.alerts() == [b"1"]
    assert bench.counters.snapshot() == {"publish_refused": 1}
    bench.link.connect()
    bench.turn()
    assert bench.link.alerts() == [b"1"]


def test_what_could_not_be_deleted_is_deleted_later(bench, monkeypatch):
    bench.link.connect()
    bench.decide(b"1")
    bench.turn()
    bench.link.acknowledge(b"1")

    def fail(sequences):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(bench.outbox, "delete", fail)
        bench.turn()
    assert bench.outbox.size()[0] == 1
    bench.turn()
    assert bench.outbox.size()[0] == 0
    assert bench.counters.snapshot() == {"alerts_delivered": 1, "delete_failed": 1}


def test_every_new_connection_is_told_who_we_are(bench):
    bench.link.connect()
    bench.turn()
    bench.turn()
    wanted = [(b"online", 1, True), (b"info", 1, True)]
    assert [message[1:4] for message in bench.link.sent] == wanted
    bench.link.connect()
    bench.turn()
    assert [message[1:4] for message in bench.link.sent] == wanted


def test_scores_wait_for_the_connection_and_are_bounded(bench):
    for number in range(MOST_SCORES + 5):
        bench.publisher.hand_over([Outgoing("s", b"%d" % number, "score")], [], alerts=False)
    assert bench.counters.snapshot() == {"dropped_scores": 5}
    bench.link.connect()
    bench.turn()
    scores = [payload for topic, payload, *_ in bench.link.sent if topic == "s"]
    assert (len(scores), scores[0], scores[-1]) == (MOST_SCORES, b"5", b"%d" % (MOST_SCORES + 4))


def test_scores_that_no_connection_takes_are_counted(bench):
    bench.publisher.hand_over([Outgoing("s", b"1", "score")], [], alerts=False)
    bench.publisher._publish_scores()  # the connection went away just now
    assert bench.counters.snapshot() == {"dropped_scores": 1}
