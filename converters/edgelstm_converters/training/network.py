"""The networks that are trained, in PyTorch: recurrent layers with one dropout mask for a strip, and a linear head."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from edgelstm_converters.training.settings import TrainingSettings

LARGEST_LOG_SCALE = 6.0


class Chain(nn.Sequential):
    """Layers one after another, from the initial state on."""

    def forward(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
            x = x[0] if isinstance(x, tuple) else x
        return x


class Network(nn.Module):
    """Channels in; a forecast, a reconstruction, or the logits of classes out, and for the first two a spread.

    forecast     recurrent layers, then a mean and the logarithm of a scale for every channel
    autoencoder  recurrent layers, a narrow one, one more recurrent layer, then as forecast, of this sample
    classify     recurrent layers, then logits: one for two classes, else one for each
    """

    def __init__(
        self, settings: TrainingSettings, channels: int, classes: int, watched: int | None = None
    ) -> None:
        """Make one for `channels` inputs, of which `watched` are foretold or rebuilt; all where it is None."""
        super().__init__()
        make = nn.LSTM if settings.cell == "lstm" else nn.GRU
        hidden = settings.hidden
        widths = [channels] + [hidden] * (settings.layers - 1)
        self.recurrent = nn.ModuleList(make(width, hidden, batch_first=True) for width in widths)
        self.dropout = settings.dropout
        self.narrow: nn.Linear | None = None
        if settings.task == "autoencoder":
            self.narrow = nn.Linear(hidden, min(settings.bottleneck, max(channels - 1, 1)))
            self.decoder = make(self.narrow.out_features, hidden, batch_first=True)
        watched = channels if watched is None else watched
        self.outputs = watched if settings.task != "classify" else (1 if classes == 2 else classes)
        self.head = nn.Linear(hidden, self.outputs)
        self.spread = nn.Linear(hidden, watched) if settings.task != "classify" else None

    def forward(self, x: Tensor, states: list[Any] | None = None, masks: list[Tensor] | None = None) -> Any:
        """Return outputs (strips, samples, outputs), log scales or None, and the states after the last sample.

        x       (strips, samples, channels)
        masks   one (strips, 1, hidden) for every recurrent layer, from `draw_masks`
        """
        after: list[Any] = []
        layers: list[nn.Module] = list(self.recurrent)
        if self.narrow is not None:
            layers.append(self.decoder)
        for n, layer in enumerate(layers):
            if self.narrow is not None and layer is self.decoder:
                x = torch.tanh(self.narrow(x))
            x, state = layer(x, None if states is None else states[n])
            after.append(state)
            if masks is not None:
                x = x * masks[n]
        log_scale = None
        if self.spread is not None:
            log_scale = LARGEST_LOG_SCALE * torch.tanh(self.spread(x) / LARGEST_LOG_SCALE)
        return self.head(x), log_scale, after

    def draw_masks(self, strips: int, generator: torch.Generator) -> list[Tensor] | None:
        """Return new dropout masks for as many strips, None where there is no dropout."""
        if self.dropout <= 0.0:
            return None
        count = len(self.recurrent) + (self.narrow is not None)
        keep = 1.0 - self.dropout
        return [
            (torch.rand(strips, 1, self.head.in_features, generator=generator) < keep) / keep
            for _ in range(count)
        ]

    def deployed(self) -> Chain:
        """Return what goes to the device, as a chain that the converter reads: the spread stays behind."""
        parts: list[tuple[str, nn.Module]] = [(f"layer{n}", layer) for n, layer in enumerate(self.recurrent)]
        if self.narrow is not None:
            parts += [("narrow", self.narrow), ("squash", nn.Tanh()), ("decoder", self.decoder)]
        parts.append(("head", self.head))
        return Chain(OrderedDict(parts))


def detached(states: list[Any]) -> list[Any]:
    """Return states that no gradient flows through."""
    return [
        tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach() for state in states
    ]


def rounded_to_int8(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters with matrices rounded as the converter will, one scale a row; gradients go straight through.

    (Jacob et al. 2018, arXiv 1712.05877; Bengio et al. 2013, arXiv 1308.3432)
    """
    found = {}
    for name, value in network.named_parameters():
        if value.dim() == 2:
            scale = value.detach().abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127.0
            value = value + (torch.round(value.detach() / scale) * scale - value.detach())
        found[name] = value
    return found
