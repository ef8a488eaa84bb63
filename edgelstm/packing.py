"""Weights and parameters in the order in which the kernels read them, padded to whole vectors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgelstm.layers import RowProduct
from edgelstm.layers.products import COLUMN_BLOCK
from edgelstm.reference.lstm import GATES, by_unit
from edgelstm.reference.row_product import LANES, QUAD, pack_rows


class PackedProduct(NamedTuple):
    """A column block of a row product, as the kernel reads it.

    weights     int32 words of LANES rows by QUAD columns, as `pack_rows` lays them
    parameters  int32 (4 * rows,): multipliers, shifts, biases, and minus the sums of the weights
    groups      how many times LANES rows
    quads       how many times QUAD columns
    shifted     whether any row shifts
    """

    weights: NDArray[np.int32]
    parameters: NDArray[np.int32]
    groups: int
    quads: int
    shifted: bool


class PackedLstm(NamedTuple):
    """A layer of plain long short-term memory, with the four gates of a unit side by side.

    weights     of the input and of the hidden vector, int32 words
    quads       of the input and of the hidden vector
    parameters  int32, for each group of LANES units: two multipliers, two minus sums of weights, the bias; then the two
                shifts of every group
    shifted     whether any row shifts
    """

    weights: tuple[NDArray[np.int32], NDArray[np.int32]]
    quads: tuple[int, int]
    parameters: NDArray[np.int32]
    shifted: bool


def padded(units: int) -> int:
    """Return `units` rounded up to whole vectors."""
    return -(-units // LANES) * LANES


def pack_product(product: RowProduct, gates: int, block: int) -> PackedProduct:
    """Pack a column block; the rows of each of the `gates` are padded for themselves, the first block has the bias."""
    first = block * COLUMN_BLOCK
    end = product.columns if block == len(product.multipliers) - 1 else first + COLUMN_BLOCK
    weights = _pad_rows(product.weights[:, first:end], gates)
    bias = product.bias if block == 0 else np.zeros_like(product.bias)
    minus_sums = -product.weights[:, first:end].sum(axis=1, dtype=np.int32)
    vectors = product.multipliers[block], product.shifts[block], bias, minus_sums
    return PackedProduct(
        weights=pack_rows(weights).view(np.int32),
        parameters=np.concatenate([_pad_rows(vector, gates) for vector in vectors]).astype(np.int32),
        groups=weights.shape[0] // LANES,
        quads=-(-(end - first) // QUAD),
        shifted=bool(product.shifts[block].any()),
    )


def pack_lstm(inputs: RowProduct, hidden: RowProduct) -> PackedLstm:
    """Pack both products of a layer, each of one column block."""

    def grouped(*vectors: NDArray[np.int32]) -> NDArray[np.int32]:
        rows = np.stack([by_unit(_pad_rows(vector, GATES)) for vector in vectors])
        return rows.reshape(len(vectors), -1, LANES).swapaxes(0, 1).ravel()

    def words(product: RowProduct) -> NDArray[np.int32]:
        return pack_rows(by_unit(_pad_rows(product.weights, GATES))).view(np.int32)

    both = inputs, hidden
    multipliers = [product.multipliers[0] for product in both]
    minus_sums = [-product.weights.sum(axis=1, dtype=np.int32) for product in both]
    shifts = [product.shifts[0] for product in both]
    parameters = grouped(*multipliers, *minus_sums, inputs.bias + hidden.bias)
    return PackedLstm(
        weights=(words(inputs), words(hidden)),
        quads=(-(-inputs.columns // QUAD), -(-hidden.columns // QUAD)),
        parameters=np.concatenate([parameters, grouped(*shifts)]),
        shifted=any(bool(shift.any()) for shift in shifts),
    )


def _pad_rows(rows: NDArray[Any], gates: int) -> NDArray[Any]:
    """Pad every gate's rows with zeros to whole vectors."""
    units = rows.shape[0] // gates
    by_gate = rows.reshape(gates, units, *rows.shape[1:])
    widths = [(0, 0), (0, padded(units) - units)] + [(0, 0)] * (rows.ndim - 1)
    return np.pad(by_gate, widths).reshape(-1, *rows.shape[1:])
