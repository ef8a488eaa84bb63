"""docs/convert.md: what it shows in Python gives what the network gives."""

import re
from pathlib import Path

import numpy as np
import pytest

from edgelstm.stream import LoadedModel
from edgelstm_converters.report import snr_db

PAGE = (Path(__file__).parents[2] / "docs" / "convert.md").read_text()


@pytest.mark.torch
def test_the_hierarchical_network_is_what_torch_computes():
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.low = torch.nn.LSTM(3, 12, batch_first=True, bidirectional=True)
            self.high = torch.nn.LSTM(24, 12, batch_first=True, bidirectional=True)
            self.head = torch.nn.Linear(24, 2)

        def forward(self, x):
            y = self.low(x)[0].transpose(1, 2)
            y = self.high(torch.nn.functional.max_pool1d(y, 2).transpose(1, 2))[0]
            return self.head(y[:, -1])

    net, history = Net(), np.random.default_rng(5).normal(0, 1, (300, 3)).astype(np.float32)
    (code,) = re.findall(r"<!-- hierarchical -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    found = {"net": net, "history": history}
    exec(code, found)
    windows = np.lib.stride_tricks.sliding_window_view(history, 32, axis=0).transpose(0, 2, 1)
    with torch.no_grad():
        expected = net(torch.from_numpy(np.ascontiguousarray(windows))).numpy()
    built = found["FloatModel"](3, (found["window"], found["head"]))
    np.testing.assert_allclose(built.run(history)[31:], expected, rtol=0, atol=1e-5)
    assert snr_db(LoadedModel(found["model"]).stream().run(history)[31:], expected) > 30.0
