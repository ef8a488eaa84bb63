"""A model as C99 for a microcontroller: the same bits, no heap, no library, the state owned by the caller.

    exported = export(loaded, "pump/")

NAME.h, NAME.c, NAME_selftest.c and MANIFEST.json. The layers drive it: a model is lowered as for the kernels, and every
operation has one template in `operations.py` and one file of C in `runtime/`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm.model_file import ARITHMETIC_VERSION
from edgelstm.reference.sigmoid_table import KNOTS
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import layouts, library, operations, self_test, source
from edgelstm_converters.c_export.layouts import LAYOUTS
from edgelstm_converters.c_export.lowering import CBuilder, identifier, lower

__all__ = ["LAYOUTS", "Exported", "export", "write_manifest"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and its sizes in bytes before any compiler has seen it."""

    folder: Path
    name: str
    table_bytes: int
    state_bytes: int
    scratch_bytes: int
    snapshot_bytes: int


def export(
    loaded: LoadedModel,
    folder: str | os.PathLike[str],
    name: str | None = None,
    *,
    layout: str = "plain",
    shared: bool = False,
) -> Exported:
    """Write the C of a model into `folder`, laid out as one of LAYOUTS; `shared` adds what a shared object needs.

    Raises ConversionError, before anything is written, for a layer without C or a name that is none in C.
    """
    chosen = identifier(name or loaded.model.name)
    if name is not None and chosen != name:
        raise ConversionError(f'"{name}" cannot name C functions; expected small letters, digits and "_"')
    build = lower(loaded.model)
    texts = {
        f"{chosen}.h": source.header(loaded.model, loaded.digest, build, chosen),
        f"{chosen}.c": source.body(loaded.model, loaded.digest, build, chosen),
        f"{chosen}_selftest.c": self_test.source(loaded, chosen),
    }
    if shared:
        texts[f"{chosen}_library.c"] = library.source(chosen)
    root = Path(folder)
    exported = Exported(
        folder=root / layouts.places(layout),
        name=chosen,
        table_bytes=table_bytes(build),
        state_bytes=sum(array.bytes for array, _ in build.state_arrays),
        scratch_bytes=sum(array.bytes for array in build.scratch_arrays),
        snapshot_bytes=source.snapshot_bytes(build),
    )
    paths = {exported.folder / file_name: text for file_name, text in texts.items()}
    paths |= {root / path: text for path, text in layouts.files_of(layout, loaded, chosen).items()}
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_manifest(exported, loaded, {})
    return exported


def write_manifest(exported: Exported, loaded: LoadedModel, targets: dict[str, Any]) -> None:
    """Write MANIFEST.json, with what was measured for `targets`."""
    document = {
        "name": exported.name,
        "model": loaded.model.name,
        "digest": loaded.digest,
        "arithmetic_version": ARITHMETIC_VERSION,
        "channels": list(loaded.channel_names),
        "outputs": list(loaded.output_names),
        "table_bytes": exported.table_bytes,
        "state_bytes": exported.state_bytes,
        "scratch_bytes": exported.scratch_bytes,
        "snapshot_bytes": exported.snapshot_bytes,
        "targets": targets,
    }
    (exported.folder / "MANIFEST.json").write_text(json.dumps(document, indent=2) + "\n")


def table_bytes(build: CBuilder) -> int:
    """Return the bytes of constants in flash: weights and the table of the activations."""
    knots = KNOTS.nbytes if "activations" in operations.fragments_of(build) else 0
    return sum(constant.bytes for constant in build.flash) + knots
