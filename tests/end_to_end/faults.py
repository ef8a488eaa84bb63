"""`edgelstm` that dies, hangs or stumbles where $FAULT says: NAME or NAME:N for the N-th time it comes there (or message).

The product has no place for faults; they are put around its functions here, in a process of its own.
"""

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from edgelstm import cli, mqtt_link, outbox
from edgelstm.daemon import intake, snapshots, watched

NAME, _, COUNT = os.environ.get("FAULT", "").partition(":")
left = int(COUNT or 1)


def die(count=1):
    global left
    left -= count
    if left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


def around(owner, name, *, before=None, after=None):
    original = getattr(owner, name)

    def call(*arguments, **named):
        if before:
            before(*arguments, **named)
        result = original(*arguments, **named)
        if after:
            after(*arguments, **named)
        return result

    setattr(owner, name, call)


def with_alerts(_outbox, messages, *_):
    if messages:
        die()


def poisonous(_intake, message, _touched):
    if b"poison" in message.payload:
        os.kill(os.getpid(), signal.SIGKILL)


def broken(_watched):
    raise RuntimeError("a bug in scoring")


def stall(*_):
    time.sleep(3600)


def callback_raises(*_):
    raise RuntimeError("a bug in a callback")


def bad_version(spoil):
    """Let detectors of the model that is named as the fault do something else, from the COUNT-th block of one sample on."""
    from edgelstm.stream import LoadedModel

    make, calls = LoadedModel.detector, []

    def spoiled(model, *arguments):
        detector = make(model, *arguments)
        push = detector.push_block

        def push_block(times_ns, values):
            verdicts = push(times_ns, values)
            calls.extend(range(len(values)))
            return spoil(verdicts) if len(calls) > WARM + int(COUNT or 0) else verdicts

        if model.model.name == NAME:
            detector.push_block = push_block
        return detector

    LoadedModel.detector = spoiled


def set_clock():
    """Let the wall clock be as many seconds ahead as the file $CLOCK says, from each moment on."""
    real = time.time_ns

    def time_ns():
        return real() + int(Path(os.environ["CLOCK"]).read_text() or 0) * 10**9

    time.time_ns, time.time = time_ns, lambda: time_ns() / 1e9


def slow_check():
    """Let the models of a reload be loaded only once there is the file $GATE, and say in $GATE.begun that it is waited for."""
    from edgelstm.daemon import service

    gate, loads = Path(os.environ["GATE"]), []

    def wait(*_):
        loads.append(None)
        if len(loads) == 3:  # a start has two of its own
            gate.with_suffix(".begun").touch()
            while not gate.exists():
                time.sleep(0.05)

    around(service, "load_models", before=wait)


WARM = 64  # samples that a new version is warmed with


def not_finite(verdicts):
    return dataclasses.replace(verdicts, scores=verdicts.scores * float("nan"))


def slow(verdicts):
    time.sleep(0.01 * len(verdicts.scores))
    return verdicts


FAULTS = {
    "bad-scores": lambda: bad_version(not_finite),
    "bad-exception": lambda: bad_version(broken),
    "bad-slow": lambda: bad_version(slow),
    "before-commit": lambda: around(outbox.Outbox, "commit", before=with_alerts),
    "after-commit": lambda: around(outbox.Outbox, "commit", after=with_alerts),
    "before-acknowledge": lambda: around(
        mqtt_link.Link, "acknowledge", before=lambda _link, messages: die(len(messages))
    ),
    "after-publish": lambda: around(outbox.Outbox, "delete", before=lambda *_: die()),
    "after-delete": lambda: around(outbox.Outbox, "delete", after=lambda *_: die()),
    "during-snapshot": lambda: around(snapshots.os, "replace", before=lambda *_: die()),
    "poison": lambda: around(intake.Intake, "take", before=poisonous),
    "exception": lambda: around(watched.Watched, "gathered", before=broken),
    "stalled-worker": lambda: around(watched.Watched, "gathered", before=stall),
    "clock": set_clock,
    "slow-check": slow_check,
    "callback": lambda: around(mqtt_link.Link, "_received", before=callback_raises),
}

if __name__ == "__main__":
    if NAME:
        FAULTS[NAME]()
    sys.exit(cli.main())
