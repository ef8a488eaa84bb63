"""Fixtures around the rig: everything that is started is stopped."""

import pytest

from rig import MOSQUITTO, Broker, Daemon, Publisher, Subscriber


@pytest.fixture
def broker_settings():
    """More lines for mosquitto.conf; a module that needs some overrides this."""
    return ""


@pytest.fixture
def broker(tmp_path, broker_settings):
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian, Ubuntu: apt install mosquitto)")
    started = Broker(tmp_path, broker_settings).start()
    yield started
    if started.process.poll() is None:
        started.kill()


@pytest.fixture
def make_daemon(tmp_path, broker):
    made = []

    def make(*, port=None, folder=tmp_path, **options):
        folder.mkdir(exist_ok=True)
        made.append(Daemon(folder, port or broker.port, **options))
        return made[-1]

    yield make
    for daemon in made:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


@pytest.fixture
def subscribe(broker):
    made = []

    def make(*filters, **options):
        made.append(Subscriber(broker.port, *(filters or ("edgelstm/#",)), **options))
        return made[-1]

    yield make
    for subscriber in made:
        subscriber.close()


@pytest.fixture
def publish(broker):
    publisher = Publisher(broker.port)
    yield publisher
    publisher.close()
