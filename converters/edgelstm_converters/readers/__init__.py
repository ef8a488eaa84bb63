"""The table of readers: one file per source. Each gives the layers, and the proof that they compute the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgelstm.errors import ConversionError
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.readers import contents

if TYPE_CHECKING:
    from edgelstm_converters.trace.streams import Stream

READERS = {
    ".pt": "torch_state_dict",
    ".pth": "torch_state_dict",
    ".ckpt": "torch_state_dict",
    ".bin": "torch_state_dict",
    ".pt2": "torch_export",
    ".safetensors": "torch_state_dict",
    ".npz": "plain_arrays",
    ".onnx": "onnx_graph",
    ".tflite": "tflite_model",
    ".keras": "keras_model",
    ".h5": "keras_model",
    ".hdf5": "keras_model",
}
LIVE_READER = "torch_module"
_NOT_PRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found, and one line about how it was proved, such as "torch: within 2.1e-07".

    dropout  the share of values that training left out with one mask for a whole sequence; 0 where the source does not say
    carried  what of the source says that its state goes on from sample to sample, such as 'its layer "lstm" is stateful'; "": nothing
    length   how many samples a sequence of the source always has; None where it may have any number
    """

    model: FloatModel
    proof: str
    dropout: float = 0.0
    carried: str = ""
    length: int | None = None

    @classmethod
    def of(cls, stream: Stream, proof: str) -> Reading:
        """Return what a graph gave, and how it was proved."""
        return cls(stream.model, stream.told(proof), carried=stream.carried, length=stream.length)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller says that the source does not.

    activations   of the linear layers
    order         of the modules; those that are not named are left out
    weights       where in a checkpoint they are, if there are several networks in it
    inputs        how many channels the model will get
    fixed         values of inputs of a graph that are neither signal nor state
    start         the value of a graph that the signal is, where something else is computed in front of it
    verify        whether to run the source's own engine, where it is installed
    architecture  the path of a file that says which array is what
    window        the samples that the model will be run over again and again; None where its state is carried
    """

    activations: Sequence[str] | None = None
    order: Sequence[str] | None = None
    weights: str | None = None
    inputs: int | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    start: str | None = None
    verify: bool = True
    architecture: str | Path | None = None
    window: int | None = None

    def only(self, *known: str) -> None:
        """Raise ConversionError for an option that the source has no use for."""
        words = {
            "activations": "says itself what follows its layers, without --activations",
            "order": "says itself in what order its layers come, without --order",
            "weights": "holds one network, which needs no --weights",
            "fixed": "has no inputs to --fix",
            "start": "has no values to begin --from",
            "architecture": "says itself what its layers are, without --architecture",
        }
        for name, why in words.items():
            if name not in known and getattr(self, name) not in (None, {}):
                raise ConversionError(why)


def read(source: Any, **asked: Any) -> Reading:
    """Read a trained model from a file, or from a live module, or take one that is built of layers; see `Asked` for what may be said about it.

    Raises ConversionError for what is missing, unknown or cannot be converted exactly: one line that names it.
    """
    if isinstance(source, FloatModel):
        Asked(**asked).only()
        source.check()
        return Reading(source, "not proved: the layers are what their maker says")
    if not isinstance(source, str | Path):
        reading: Reading = _module(LIVE_READER).read(source, Asked(**asked))
        return reading
    path = Path(source)
    _expect_kind(path)
    try:
        reading = _module(READERS[path.suffix.lower()]).read(path, Asked(**asked))
    except ConversionError as exc:
        text = _NOT_PRINTED.sub(" ", str(exc))  # of names that the file chose
        raise ConversionError(f"{path}: {text}") from None
    except RecursionError:
        raise ConversionError(
            f"{path}: is nested deeper than is followed, as a loop is that carries something else than a recurrent cell: "
            "export the network without it, or leave it outside, see --from"
        ) from None
    return reading


def _expect_kind(path: Path) -> None:
    """Raise ConversionError for a file that is none, whose name says nothing that can be read, or another thing than it is."""
    suffix = path.suffix.lower()
    try:
        found = contents.of(path) if path.exists() else None
    except OSError as exc:
        raise ConversionError(f"{path}: cannot be read: {exc.strerror}") from None
    if found is not None and suffix not in found.suffixes:
        raise ConversionError(f"{path}: {found.told()}")
    if suffix not in READERS:
        raise ConversionError(
            f"{path}: unknown kind of model; expected {', '.join(READERS)}, or a live torch module"
        )
    if not path.is_file():
        raise ConversionError(f"{path}: no such file")


def _module(name: str) -> Any:
    return import_module(f"edgelstm_converters.readers.{name}")
