"""What a layer may read, and how it is called in errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgelstm.errors import ConversionError
from edgelstm_converters.trace.attention import DOT, refused_product
from edgelstm_converters.trace.expressions import Codes, Expression, expression_of, time_of


def check_atoms(table: Sequence[Expression], name: str, atoms: Codes, *, delayed: bool = False) -> None:
    """Raise ConversionError where what the layer `name` reads is no layer's value; `delayed` where it may be of earlier samples."""
    kinds = {table[int(n)].kind: table[int(n)].name for n in np.unique(expression_of(atoms))}
    if "state" in kinds:
        raise ConversionError(
            f'layer "{plain(name)}" reads the state "{kinds["state"]}", and is no cell whose output that state becomes'
        )
    for found in (table[int(n)] for n in np.unique(expression_of(atoms))):
        if found.kind == DOT:
            raise refused_product(found)
    if not kinds:
        raise ConversionError(f'layer "{plain(name)}" reads nothing that depends on the input')
    if time_of(atoms).any() and not delayed:
        raise ConversionError(
            f'layer "{plain(name)}" reads earlier samples, a window of them; a layer reads one sample'
        )


def plain(text: str) -> str:
    """Return the name of a node as that of a layer."""
    return text.strip("/").replace("/", ".") or "layer"
