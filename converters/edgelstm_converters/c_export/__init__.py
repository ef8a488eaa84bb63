"""A model as C99 for a microcontroller: the same bits, no heap, no library, the state owned by the caller.

    exported = export(loaded, "pump/")

NAME.h, NAME.c, NAME_selftest.c and MANIFEST.json. The layers drive it: a model is lowered as for the kernels, and every
operation has one template in `operations.py` and one file of C in `runtime/`. A model with a detector gets NAME_detector.h and
NAME_detector.c too; every stage has one file in `runtime/detector/`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgelstm.errors import ConversionError
from edgelstm.model_file import ARITHMETIC_VERSION
from edgelstm.stream import LoadedModel
from edgelstm_converters.c_export import detector, layouts, library, operations, self_test, snapshots, source
from edgelstm_converters.c_export.layouts import LAYOUTS
from edgelstm_converters.c_export.lowering import CBuilder, identifier, lower

__all__ = ["LAYOUTS", "Exported", "export", "write_manifest"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and its sizes in bytes before any compiler has seen it; those of a detector are 0 without one.

    detector_bytes  state of a detector, with that of its networks
    """

    folder: Path
    name: str
    table_bytes: int
    state_bytes: int
    scratch_bytes: int
    snapshot_bytes: int
    detector_constant_bytes: int = 0
    detector_bytes: int = 0
    detector_snapshot_bytes: int = 0


def export(
    loaded: LoadedModel,
    folder: str | os.PathLike[str],
    name: str | None = None,
    *,
    layout: str = "plain",
    shared: bool = False,
    watches: bool = True,
) -> Exported:
    """Write the C of a model into `folder`, laid out as one of LAYOUTS; `shared` adds what a shared object needs.

    watches  whether the model's detector, if it has one, is written too

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
    watches = watches and loaded.model.detector_settings is not None
    if watches:
        detector.check(loaded)
        texts[f"{chosen}_detector.h"] = detector.header(loaded, build, chosen)
        texts[f"{chosen}_detector.c"] = detector.body(loaded, build, chosen)
    if shared:
        texts[f"{chosen}_library.c"] = library.source(chosen)
    root = Path(folder)
    exported = Exported(
        folder=root / layouts.places(layout),
        name=chosen,
        table_bytes=table_bytes(build),
        state_bytes=sum(array.bytes for array, _ in build.state_arrays),
        scratch_bytes=sum(array.bytes for array in build.scratch_arrays),
        snapshot_bytes=snapshots.sealed_bytes(build),
        **(detector.sizes(loaded, build) if watches else {}),
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
        "detector": {
            "constant_bytes": exported.detector_constant_bytes,
            "state_bytes": exported.detector_bytes,
            "snapshot_bytes": exported.detector_snapshot_bytes,
        }
        if exported.detector_bytes
        else None,
        "targets": targets,
    }
    (exported.folder / "MANIFEST.json").write_text(json.dumps(document, indent=2) + "\n")


def table_bytes(build: CBuilder) -> int:
    """Return the bytes of constants in flash: weights, and the tables of the functions that the model needs."""
    used = [operations.TABLES[name] for name in operations.fragments_of(build) if name in operations.TABLES]
    return sum(constant.bytes for constant in build.flash) + sum(table.nbytes for table in used)
