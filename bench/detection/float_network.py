"""The same detector on its float network: stages as plain Python, the network's place taken by float32 matrices."""

import numpy as np

from edgelstm_converters.training.network import Network


def float_step(network: Network):
    """Return a function that steps the float network as the detector calls it, with a state for each of its rows.

    It begins anew where the detector has zeroed the integer state, which it marks for that.
    """
    weights = {name: value.detach().numpy() for name, value in network.state_dict().items()}
    inputs, hidden = weights["recurrent.0.weight_ih_l0"], weights["recurrent.0.weight_hh_l0"]
    bias = weights["recurrent.0.bias_ih_l0"] + weights["recurrent.0.bias_hh_l0"]
    state = {}

    def step(context, samples, said):
        _, integer_state, *_ = context
        if not integer_state.any():
            state["h"] = state["c"] = np.zeros((len(samples), hidden.shape[1]), np.float32)
            integer_state[:] = 1
        i, f, g, o = np.split(samples @ inputs.T + state["h"] @ hidden.T + bias, 4, axis=1)
        state["c"] = _sigmoid(f) * state["c"] + _sigmoid(i) * np.tanh(g)
        state["h"] = _sigmoid(o) * np.tanh(state["c"])
        said[:] = state["h"] @ weights["head.weight"].T + weights["head.bias"]
        return -1

    return step


def _sigmoid(z):
    return 0.5 * (1.0 + np.tanh(0.5 * z))
