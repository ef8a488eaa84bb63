"""An architecture file (TOML or JSON): which of many arrays are the weights of which layer, and in what order its gates are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from edgelstm.errors import ConversionError
from edgelstm.layers.attention import MAX_WINDOW
from edgelstm.layers.graph import MAX_PERIOD

MAX_BYTES = 1 << 20
Positive = Annotated[int, msgspec.Meta(ge=1)]
Side = Annotated[int, msgspec.Meta(ge=1, le=1024)]
Window = Annotated[int, msgspec.Meta(ge=1, le=MAX_WINDOW)]
Period = Annotated[int, msgspec.Meta(ge=1, le=MAX_PERIOD)]
Share = Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)]


class LayerEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every layer says: its name, and what it reads; without `sources` the layer in front of it.

    fewest, most  sources that the kind reads
    """

    fewest: ClassVar[int] = 1
    most: ClassVar[int] = 1
    name: str
    sources: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class Recurrent(LayerEntry, frozen=True, kw_only=True):
    """Names of the matrices and biases of a recurrent layer; `transposed`: matrices are stored (inputs, outputs)."""

    input_weights: str
    hidden_weights: str
    bias: str | None = None
    input_bias: str | None = None
    hidden_bias: str | None = None
    transposed: bool = False


class LstmEntry(Recurrent, frozen=True, kw_only=True, tag="lstm"):
    """`gates` is the order of its rows, of the letters i f g o (g: the cell's input).

    norm_weights, norm_bias  of gates that are normalised each over its cells, stacked as the rows are
    """

    gates: str
    norm_weights: str | None = None
    norm_bias: str | None = None
    epsilon: Annotated[float, msgspec.Meta(ge=0.0)] = 1e-5


class GruEntry(Recurrent, frozen=True, kw_only=True, tag="gru"):
    """`gates` is the order of its rows, of the letters r u n (reset, update, new).

    reset_after  the reset gate scales what the matrix gives, not what it reads
    """

    gates: str
    reset_after: bool = True


class RnnEntry(Recurrent, frozen=True, kw_only=True, tag="rnn"):
    activation: str = "tanh"


class ClockworkEntry(Recurrent, frozen=True, kw_only=True, tag="clockwork"):
    """Groups of `sizes` units, the fastest first, that run at every `periods`-th sample."""

    sizes: tuple[Positive, ...]
    periods: tuple[Period, ...]
    activation: str = "tanh"


class ConvLstmEntry(LayerEntry, frozen=True, kw_only=True, tag="conv_lstm"):
    """On a grid of `rows` x `columns` pixels, the values of a pixel together.

    Either input_weights (4f, i, k, k) and hidden_weights (4f, f, k, k), or `weights` (4f, i + f, k, k) of both together, as modules of
    PyTorch have them; where transposed (k, k, i, 4f) and (k, k, f, 4f), as Keras has them.
    """

    rows: Side
    columns: Side
    gates: str
    weights: str | None = None
    input_weights: str | None = None
    hidden_weights: str | None = None
    bias: str | None = None
    input_bias: str | None = None
    hidden_bias: str | None = None
    transposed: bool = False


class DenseEntry(LayerEntry, frozen=True, kw_only=True, tag="dense"):
    """`grid`, rows and columns: what it reads is a grid, but its weights have the values in front of both, as PyTorch flattens."""

    weights: str
    bias: str | None = None
    activation: str = "linear"
    transposed: bool = False
    grid: tuple[Side, Side] | None = None


class EmbeddingEntry(LayerEntry, frozen=True, kw_only=True, tag="embedding"):
    weights: str


class AttentionEntry(LayerEntry, frozen=True, kw_only=True, tag="attention"):
    """Attention over the last `window` samples; queries read the first source, keys and values the last.

    weights, bias   of queries, keys and values, one upon another, as `in_proj_weight` of `torch.nn.MultiheadAttention`; or each
                    by itself; without weights, what is read itself
    score_weights   the score is score_weights . tanh(query + key), else scale * query . key
    scale           by default 1 / sqrt(values of a key of one head)
    output_weights  of the projection behind the heads
    transposed      matrices are stored (inputs, outputs), where heads are apart (inputs, heads, outputs), as Keras has them
    """

    most: ClassVar[int] = 2
    window: Window
    heads: Positive = 1
    scale: float | None = None
    weights: str | None = None
    bias: str | None = None
    query_weights: str | None = None
    query_bias: str | None = None
    key_weights: str | None = None
    key_bias: str | None = None
    value_weights: str | None = None
    value_bias: str | None = None
    score_weights: str | None = None
    output_weights: str | None = None
    output_bias: str | None = None
    transposed: bool = False


class NormalizationEntry(LayerEntry, frozen=True, kw_only=True, tag="normalization"):
    """`weights` is what the normalised values are multiplied with, ones by default."""

    mode: Literal["layer", "rms", "l2"] = "layer"
    weights: str | None = None
    bias: str | None = None
    epsilon: Annotated[float, msgspec.Meta(ge=0.0)] = 1e-5


class Conv1dEntry(LayerEntry, frozen=True, kw_only=True, tag="conv1d"):
    """Causal convolution along the samples; weights (o, i, taps), or (taps, i, o) where transposed, as Keras has them."""

    weights: str
    bias: str | None = None
    dilation: Positive = 1
    activation: str = "linear"
    transposed: bool = False


class PoolEntry(LayerEntry, frozen=True, kw_only=True, tag="pool"):
    window: Window
    mode: Literal["max", "average"]


class AddEntry(LayerEntry, frozen=True, kw_only=True, tag="add"):
    """The sum of its sources: a residual connection."""

    fewest: ClassVar[int] = 2
    most: ClassVar[int] = 16
    activation: str = "linear"


class ConcatEntry(LayerEntry, frozen=True, kw_only=True, tag="concat"):
    fewest: ClassVar[int] = 2
    most: ClassVar[int] = 16


OfSymbols = EmbeddingEntry | LstmEntry | GruEntry | RnnEntry | DenseEntry
Entry = (
    OfSymbols
    | ClockworkEntry
    | ConvLstmEntry
    | AttentionEntry
    | NormalizationEntry
    | Conv1dEntry
    | PoolEntry
    | AddEntry
    | ConcatEntry
)


class DecoderEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decoder of symbols, whose states begin as those of the layers in front of it ended.

    ends_with  the symbol, of the only channel, that ends what is encoded
    start, end the symbols that it is first given, and that ends what it gives
    steps      the most symbols that it gives
    layers     a chain, the last of which has a value for every symbol
    """

    ends_with: int
    start: int
    end: int
    steps: int
    layers: tuple[OfSymbols, ...]


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Layers, the first to see a sample in front, and the decoder behind them where there is one.

    inputs   how many channels there are, where no layer that reads them has a matrix that says so
    dropout  the share of values that training left out, with one mask for a whole sequence: what `--uncertainty` leaves out
    """

    layers: tuple[Entry, ...]
    decoder: DecoderEntry | None = None
    inputs: Positive | None = None
    dropout: Share | None = None


def load(path: Path) -> Architecture:
    """Read an architecture file; raises ConversionError naming it and the key that is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConversionError(f"--architecture {path}: is larger than {MAX_BYTES:,} bytes")
        content = path.read_bytes()
        decode = msgspec.json.decode if path.suffix.lower() == ".json" else msgspec.toml.decode
        found = decode(content, type=Architecture)
    except OSError as exc:
        raise ConversionError(f"--architecture {path}: cannot be read: {exc.strerror}") from None
    except msgspec.ValidationError as exc:
        raise ConversionError(f"--architecture {path}: {_named(str(exc), decode(content))}") from None
    except (msgspec.DecodeError, RecursionError) as exc:
        raise ConversionError(f"--architecture {path}: {exc}") from None
    if not found.layers or (found.decoder is not None and not found.decoder.layers):
        raise ConversionError(f"--architecture {path}: names no layer")
    return found


def _named(error: str, content: Any) -> str:
    """Return what is wrong with the layer's name and kind in front, and for the order of gates what it may be."""
    found = re.search(r" - at `\$\.((?:decoder\.)?)layers\[(\d+)\]", error)
    if found is None:
        return error
    entry = (content["decoder"] if found[1] else content)["layers"][int(found[2])]
    if not isinstance(entry, dict):
        return error
    hint = (
        "; PyTorch and Keras stack the rows of an LSTM ifgo, PyTorch those of a GRU run, Keras urn"
        if "`gates`" in error
        else ""
    )
    return f'layer "{entry.get("name", "")}" ({entry.get("kind", "")}): {error}{hint}'
