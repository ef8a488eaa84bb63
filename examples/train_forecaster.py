"""A network of your own, in plain PyTorch: an LSTM that forecasts the next sample, saved for `edgelstm convert`.

`edgelstm train` does all this and the steps after it in one command. This is for who trains otherwise: what a forecaster has to be,
what has to be saved of it, and a loop to change.

    python examples/train_forecaster.py history.csv -o pump
    edgelstm convert pump.pt --scaling pump.scaling.json --calibrate history.csv -o pump.elstm

It writes NAME.pt, the state_dict of an `nn.LSTM` and an `nn.Linear`, and NAME.scaling.json, the mean and standard
deviation that the network's inputs were scaled by. Needs torch; the device that runs the model does not.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgelstm.errors import EdgeLstmError
from edgelstm.sources import recording

NOISE = 0.02
"""Standard deviation of the noise added to inputs, in deviations of a channel."""

ROWS_PER_STRIP = 20
"""The fewest rows of each strip that are worth training on."""


class Forecaster(nn.Module):
    """One vector in, the next one out."""

    def __init__(self, channels: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, channels)

    def forward(self, x, state=None):
        hidden, state = self.lstm(x, state)
        return self.head(hidden), state


def strips(values: np.ndarray, count: int) -> torch.Tensor:
    """Cut a recording into `count` strips that are trained side by side: (count, samples, channels)."""
    length = len(values) // count
    return torch.from_numpy(values[: count * length].reshape(count, length, -1).copy())


def train(values, *, hidden, layers, epochs, batch, bptt, noise, seed, say):
    """Return a Forecaster trained by truncated backpropagation through time with carried state.

    values  float32 (samples, channels), scaled; the last tenth is kept for validation
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # a network this small is faster on one core, and sums in one order
    split = int(len(values) * 0.9)
    training, validation = strips(values[:split], batch), strips(values[split:], 1)
    model = Forecaster(values.shape[1], hidden, layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, weight_decay=1e-3)
    steps = epochs * max(1, -(-(training.shape[1] - 1) // bptt))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=steps)
    loss_of = nn.SmoothL1Loss()
    for epoch in range(epochs):
        state, losses = None, []
        for first in range(0, training.shape[1] - 1, bptt):
            x = training[:, first : first + bptt + 1]
            seen = x[:, :-1] + noise * torch.randn_like(
                x[:, :-1]
            )  # so that a forecast does not copy sensor noise
            predicted, state = model(seen, state)
            loss = loss_of(predicted, x[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            state = tuple(part.detach() for part in state)
            losses.append(loss.item())
        with torch.no_grad():
            predicted, _ = model(validation[:, :-1])
            error = (predicted - validation[:, 1:]).square().mean().sqrt().item()
            persistence = (validation[:, :-1] - validation[:, 1:]).square().mean().sqrt().item()
        say(
            f"epoch {epoch + 1}/{epochs}  loss {np.mean(losses):.5f}  "
            f"validation error {error:.4f} (repeating the last sample: {persistence:.4f})"
        )
    return model


def fill(values):
    """Repeat the last known value where one is missing, and the first known one before it."""
    filled = values.copy()
    for column in filled.T:
        known = np.flatnonzero(np.isfinite(column))
        if not known.size:
            raise SystemExit("train_forecaster: a channel has no value at all")
        last = np.maximum.accumulate(np.where(np.isfinite(column), np.arange(column.size), -1))
        column[:] = column[np.where(last < 0, known[0], last)]
    return filled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path, help="CSV or NPZ of normal running")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="NAME",
        help="writes NAME.pt and NAME.scaling.json",
    )
    parser.add_argument("--channels", help="columns to use, a,b,c; default: all")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--batch", type=int, default=16, help="strips of the recording that are trained side by side"
    )
    parser.add_argument("--bptt", type=int, default=64, help="samples between two updates")
    parser.add_argument("--rows", type=int, help="use only the first ROWS rows")
    args = parser.parse_args()
    try:
        data = recording.read(args.recording, args.channels.split(",") if args.channels else None)
    except EdgeLstmError as exc:
        sys.exit(f"train_forecaster: {exc}")
    values = fill(data.values[: args.rows])
    if len(values) < ROWS_PER_STRIP * args.batch:
        sys.exit(
            f"train_forecaster: {args.recording} has {len(values)} rows; --batch {args.batch} needs at least "
            f"{ROWS_PER_STRIP * args.batch}"
        )
    mean, std = values.mean(axis=0), values.std(axis=0)
    std[std == 0] = 1.0
    model = train(
        (values - mean) / std,
        hidden=args.hidden,
        layers=1,
        epochs=args.epochs,
        batch=args.batch,
        bptt=args.bptt,
        noise=NOISE,
        seed=0,
        say=lambda line: print(line, file=sys.stderr),
    )
    torch.save(model.state_dict(), args.output.with_suffix(".pt"))
    scaling = {
        name: {"mean": float(m), "std": float(s)} for name, m, s in zip(data.names, mean, std, strict=True)
    }
    args.output.with_suffix(".scaling.json").write_text(json.dumps(scaling, indent=2) + "\n")
    print(
        f"wrote {args.output.with_suffix('.pt')} and {args.output.with_suffix('.scaling.json')}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
