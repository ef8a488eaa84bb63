"""How a network is run on a stream: with its state carried, anew over a window again and again, or several times with masks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgelstm.errors import ConversionError
from edgelstm.layers import INPUT
from edgelstm.layers.window import MAX_LENGTH
from edgelstm_converters.float_model import FloatModel
from edgelstm_converters.layers import FloatWindow, variational


@dataclass(frozen=True, slots=True)
class Execution:
    """By default state is carried from sample to sample.

    window     samples that the network is run over from its initial state, as it was trained; 0 for no window
    hop        samples from one run to the next
    lookahead  samples of the window that are newer than the one an output belongs to; has to be said where layers run backward
    runs       of the network with masks of their own, of which mean and spread are given; 0 for one run without
    dropout    the share of values that a mask leaves out
    """

    window: int = 0
    hop: int = 1
    runs: int = 0
    dropout: float = 0.0
    lookahead: int | None = None

    def apply(self, model: FloatModel) -> FloatModel:
        """Return the model that is run so; raises ConversionError for what does not go together."""
        if self.window and self.runs:
            raise ConversionError(
                "masked runs carry their state: uncertainty and a window do not go together"
            )
        if model.backward and (not self.window or self.lookahead is None):
            raise ConversionError(
                f'layer "{model.backward[0]}" is bidirectional, and a stream has no future: say --window N, the samples that it is '
                "run over, and --lookahead N, how many of them are newer than the one an output belongs to"
            )
        if self.window:
            return self._windowed(model)
        if self.lookahead is not None:
            raise ConversionError(f"a look-ahead of {self.lookahead} samples needs a window")
        if self.hop != 1:
            raise ConversionError(f"a hop of {self.hop} samples needs a window")
        if self.runs:
            return self._masked(model)
        if self.dropout:
            raise ConversionError(f"a dropout of {self.dropout:g} needs a number of runs, uncertainty")
        return model

    def output_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the outputs of the model that is run so."""
        return (*names, *(f"{name} spread" for name in names)) if self.runs else names

    def _windowed(self, model: FloatModel) -> FloatModel:
        for what, samples in (("window", self.window), ("hop", self.hop)):
            if not 1 <= samples <= MAX_LENGTH:
                raise ConversionError(f"a {what} of {samples} samples, expected 1 to {MAX_LENGTH}")
        last, lookahead = self.window - 1, self.lookahead or 0
        if not 0 <= lookahead <= last:
            raise ConversionError(
                f"a look-ahead of {lookahead} samples, expected 0 to {last}, less than the window"
            )
        heads = model.head_names
        window = FloatWindow(
            "window",
            model.inputs,
            self.window,
            model.layers,
            heads,
            (last - lookahead,) * len(heads),
            backward=model.backward,
            lookahead=lookahead,
            hop=self.hop,
            due=last % self.hop,
        )
        return FloatModel(model.inputs, (window,))

    def _masked(self, model: FloatModel) -> FloatModel:
        layers, before = [], INPUT
        for layer in model.layers:
            layers.append(replace(layer, sources=()) if layer.sources == (before,) else layer)
            before = layer.name
        if model.heads and model.heads != (before,):
            raise ConversionError("masked runs need a chain of layers with one output layer at its end")
        return FloatModel(model.inputs, (variational("runs", layers, self.runs, self.dropout),))
