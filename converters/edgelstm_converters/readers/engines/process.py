"""The process of one engine: loads models, runs them, and answers until nobody asks any more.

python -m edgelstm_converters.readers.engines.process KIND
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import import_module
from typing import Any

from edgelstm_converters.readers.engines.frames import Frame, receive, send

MAX_BYTES = 8 << 30
"""Of memory, where the system can hold a process to it: more than a model of 1 GiB needs."""


def main(kind: str) -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what frameworks print is no answer
    warnings.simplefilter("ignore")
    _bound_memory()
    run: Any = None
    while True:
        try:
            asked = receive(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if "names" in asked.head:
                answer = Frame({}, run(dict(zip(asked.head["names"], asked.arrays, strict=True))))
            else:
                engine = import_module(f"edgelstm_converters.readers.engines.{kind}")
                name, run, given = engine.load(asked.head["path"], asked.arrays[0].tobytes())
                answer = Frame({"name": name}, [memoryview(given)])
        except Exception as exc:  # whatever an engine raises
            text = next(iter(str(exc).strip().splitlines()), "") or type(exc).__name__
            answer = Frame({"error": text})
        send(answers, answer)


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = MAX_BYTES if hard == resource.RLIM_INFINITY else min(MAX_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


if __name__ == "__main__":
    main(sys.argv[1])
