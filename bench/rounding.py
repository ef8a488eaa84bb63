"""What rounding as calibration says gains over rounding each weight to its nearest, on small trained forecasters.

python bench/rounding.py
"""

import numpy as np
import torch
from torch import nn

from edgelstm.stream import LoadedModel
from edgelstm_converters import convert_with_report, report
from edgelstm_converters.quantize import Vector

SAMPLES, CHANNELS = 4000, 4


class Forecaster(nn.Module):
    def __init__(self, cell, hidden):
        super().__init__()
        self.rnn = cell(CHANNELS, hidden, batch_first=True)
        self.head = nn.Linear(hidden, CHANNELS)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def signal():
    t = np.arange(2 * SAMPLES)
    waves = [
        np.sin(t / 7) + 0.3 * np.sin(t / 31),
        np.cos(t / 11),
        np.sin(t / 50) ** 3,
        np.sin(t / 23) * np.cos(t / 5),
    ]
    noise = np.random.default_rng(0).normal(0, 0.1, (len(t), CHANNELS))
    return (np.stack(waves, axis=1) + noise).astype(np.float32)


def trained(cell, hidden, x):
    torch.manual_seed(0)
    model, samples = Forecaster(cell, hidden), torch.from_numpy(x)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(150):
        rows = torch.stack([samples[start : start + 65] for start in torch.randint(0, len(x) - 65, (32,))])
        optimizer.zero_grad()
        loss = (model(rows[:, :-1]) - rows[:, 1:]).square().mean()
        loss.backward()
        optimizer.step()
    return model


def main() -> None:
    x = signal()
    calibration, unseen = x[:SAMPLES], x[SAMPLES:]
    seeing = Vector.seeing
    print("cell  hidden  nearest   calibrated  (output SNR on samples that calibration did not see)")
    for cell in (nn.LSTM, nn.GRU):
        for hidden in (16, 64, 128):
            model, found = trained(cell, hidden, calibration), []
            for method in (lambda self, samples: self, seeing):
                Vector.seeing = method  # without samples, every weight is rounded to its nearest
                conversion = convert_with_report(model, calibration=calibration)
                y = LoadedModel(conversion.model).stream().run(unseen)
                found.append(report.snr_db(y, conversion.float_model.run(unseen), each_alone=True))
            Vector.seeing = seeing
            print(f"{cell.__name__:4}  {hidden:6}  {found[0]:5.1f} dB  {found[1]:5.1f} dB")


if __name__ == "__main__":
    main()
