"""h5py on a file of Keras at `path`: all of its arrays; `content` says whether as a "model" or as "weights" alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def load(path: str, content: bytes) -> tuple[str, Any, bytes]:
    from edgelstm_converters.readers.keras_file import parse

    file = parse(Path(path), content.decode())
    head = {"config": file.config, "version": file.version, "names": file.names, "paths": list(file.weights)}
    return "h5py", lambda feeds: list(file.weights.values()), json.dumps(head).encode()
