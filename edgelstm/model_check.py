"""Whether a model is what the kernels may run: every size, range and bound, checked once before the first step.

The kernels check nothing. What passes here cannot read outside its arrays and cannot wrap an integer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgelstm.layers import INPUT
from edgelstm.layers.bounds import MAX_UNITS, MAX_WEIGHT_SUM, require
from edgelstm.layers.graph import MAX_LAYERS, check_layers
from edgelstm.model import Channel, Model

__all__ = ["MAX_CHANNELS", "MAX_LAYERS", "MAX_UNITS", "MAX_WEIGHT_SUM", "check"]

MAX_CHANNELS = 4096
GAIN_RANGE = (2.0**-64, 2.0**64)


def check(model: Model) -> None:
    """Raise ModelFileError, naming layer and value, for the first thing that is out of bounds."""
    require(
        1 <= len(model.channels) <= MAX_CHANNELS,
        f"{len(model.channels)} channels, expected 1 to {MAX_CHANNELS}",
    )
    _unique("channel", [channel.name for channel in model.channels])
    _unique("output", [output.name for output in model.outputs])
    for channel in model.channels:
        _check_channel(channel)
    for output in model.outputs:
        finite = math.isfinite(output.scale) and 2.0**-126 <= output.scale <= 2.0**96
        require(finite, f'output "{output.name}": scale is {output.scale}, expected 2**-126 to 2**96')
    units = check_layers(model.layers, len(model.channels))
    for number, rows in model.rows_by_channel.items():
        _check_rows(model.channels[number], rows)
    for head in model.head_names:
        require(head in units and head != INPUT, f'an output is to come from "{head}", which is no layer')
    leaving = sum(units[head] for head in model.head_names)
    heads = " and ".join(f'"{head}"' for head in model.head_names)
    require(
        leaving == len(model.outputs),
        f"layer {heads} has {leaving} units but {len(model.outputs)} outputs are named",
    )


def _unique(what: str, names: Sequence[str]) -> None:
    for name in names:
        require(bool(name), f"a {what} has an empty name")
        require(names.count(name) == 1, f'two {what}s are named "{name}"')


def _check_channel(channel: Channel) -> None:
    where = f'channel "{channel.name}"'
    require(
        math.isfinite(channel.offset) and abs(channel.offset) < 2.0**127,
        f"{where}: offset is {channel.offset}",
    )
    low, high = GAIN_RANGE
    require(low <= channel.gain <= high, f"{where}: gain is {channel.gain}, expected 2**-64 to 2**64")


def _check_rows(channel: Channel, rows: int) -> None:
    """Require that the input stage can tell every row of a table from the next."""
    low, high = -channel.offset * channel.gain, (rows - 1 - channel.offset) * channel.gain
    require(
        channel.gain >= 4.0 and low >= -32768.0 and high <= 32767.0,
        f'channel "{channel.name}": offset {channel.offset} and gain {channel.gain} do not hold the numbers of {rows} rows',
    )
