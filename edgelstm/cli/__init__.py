"""The command line: one table of verbs; a verb's module is imported when it is called, and nothing before."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass

from edgelstm import __version__
from edgelstm.errors import EdgeLstmError, UnavailableError, UsageError

EVERYWHERE = ("linux", "darwin", "win32")
POSIX = ("linux", "darwin")
LINUX = ("linux",)


@dataclass(frozen=True, slots=True)
class Verb:
    """One command: its line in the help, and the platforms (as in `sys.platform`) that it runs on."""

    summary: str
    platforms: tuple[str, ...] = EVERYWHERE

    def module(self, name: str) -> str:
        return f"edgelstm.cli.{name.replace('-', '_')}"


VERBS = {
    "demo": Verb("see it work: broker, two pumps, daemon, a fault and the alert, on this machine", POSIX),
    "convert": Verb("turn a trained PyTorch, Keras, TFLite or ONNX model into one int8 model file"),
    "inspect": Verb("show what a model file holds: channels, layers, errors measured, detector"),
    "train": Verb("train a network on a recording and make it a detector, in one command"),
    "tune": Verb("search for the smallest network that is good enough, and train it"),
    "calibrate": Verb("make a converted model an anomaly detector, from normal history"),
    "score": Verb("run the daemon's own detector over a recording and print its alerts"),
    "explain": Verb("say why the detector said what it said at one time"),
    "run": Verb("the daemon: samples from MQTT in, alerts over MQTT out", LINUX),
    "check": Verb("validate a configuration and show what a payload would become", LINUX),
    "model": Verb("list, verify, install, activate and roll back versions of models", POSIX),
    "doctor": Verb("what of this machine and its broker will make trouble", LINUX),
    "replay": Verb("publish a recording over MQTT"),
    "status": Verb("ask the running daemon how it is", POSIX),
    "stream": Verb("list, pause, resume or reset streams of the running daemon", POSIX),
    "config": Verb("a sample configuration, the one in force, or its schema"),
    "schema": Verb("the JSON Schema of a payload"),
    "service": Verb("the daemon as a systemd service", LINUX),
    "watch": Verb("print alerts as they arrive", POSIX),
    "simulate": Verb("pretend to be a sensor node that publishes over MQTT", POSIX),
    "bench": Verb("measure a step on this machine, for several sizes or a model of your own"),
    "export-c": Verb("write a model as C99 for a microcontroller, and say what it takes on one"),
    "warm-up": Verb("compile the kernels ahead, so that the first sample does not wait"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; every deliberate error is one line on stderr."""
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
    except EdgeLstmError as exc:
        print(f"edgelstm: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        print(_help())
        return 0
    if arguments[0] in ("--version", "-V", "version"):
        print(f"edgelstm {__version__}")
        return 0
    name, verb = arguments[0], _verb(arguments[0])
    if sys.platform not in verb.platforms:
        raise UnavailableError(
            f'"{name}" runs on {" and ".join(verb.platforms)}; this is {sys.platform}, '
            f"which has: {', '.join(other for other in VERBS if sys.platform in VERBS[other].platforms)}"
        )
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise UnavailableError(
            "this is a free-threaded build of Python, which is not supported: use the regular one"
        )
    module = importlib.import_module(verb.module(name))
    parser = argparse.ArgumentParser(prog=f"edgelstm {name}", description=module.SUMMARY, add_help=False)
    parser.add_argument("--help", action="help", help="show this and exit")
    module.configure(parser)
    code: int = module.run(parser.parse_args(arguments[1:]))
    return code


def _verb(name: str) -> Verb:
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"expected one of: {', '.join(VERBS)}"
        raise UsageError(f'"{name}" is no command; {hint}')
    return VERBS[name]


def _help() -> str:
    width = max(map(len, VERBS)) + 2
    lines = [f"  {name:{width}}{verb.summary}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            f"edgelstm {__version__}: edge runtime for recurrent networks",
            "",
            "usage: edgelstm COMMAND ...    (edgelstm COMMAND --help for its options)",
            "",
            *lines,
        ]
    )
