"""Does int8 change a decision? The same detector over the same recordings, on the int8 network and on its float original.

    python bench/decisions.py net.pt --scaling net.scaling.json --calibrate history.csv --detector pump.elstm fault.csv ...

The stages of the detector run as plain Python here (Numba switched off), so that the network in them can be exchanged.
"""

import argparse
import os
import sys

import numpy as np

os.environ["NUMBA_DISABLE_JIT"] = "1"

import edgelstm
from edgelstm.alert_payload import timestamp
from edgelstm.kernels.detection import chain
from edgelstm.sources import recording
from edgelstm_converters import convert_with_report


def recording_step(step, seen):
    """Return `step`, keeping every sample that it was given in the list `seen`."""

    def recorded(context, samples, said):
        seen.append(samples[0].copy())
        return step(context, samples, said)

    return recorded


def float_step(network, seen):
    """Return a function that gives what the float network forecasts for the samples `seen`, one after another."""
    forecasts = iter(network.run(np.array(seen, np.float32)))

    def step(context, samples, said):
        said[0] = next(forecasts)
        return -1

    return step


def events(loaded, data):
    verdicts = loaded.detector().push_block(data.times_ns, data.values)
    return verdicts.scores, [(a.event_type, a.time_ns) for a in verdicts.alerts if a.event_type != "updated"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="the trained network")
    parser.add_argument("--scaling")
    parser.add_argument("--calibrate", required=True)
    parser.add_argument("--detector", required=True, help="the model file made of it, with a detector")
    parser.add_argument("recordings", nargs="+")
    args = parser.parse_args()
    loaded = edgelstm.load(args.detector)
    network = convert_with_report(
        args.source, calibration=args.calibrate, channels=loaded.channel_names, scaling=args.scaling
    ).float_model
    integer_step, same = chain.execute_block, True
    for path in args.recordings:
        data = recording.read(path, loaded.channel_names)
        seen = []
        chain.execute_block = recording_step(integer_step, seen)
        int8_scores, int8_events = events(loaded, data)
        chain.execute_block = float_step(network, seen)
        float_scores, float_events = events(loaded, data)
        judged = int8_scores == int8_scores  # not in warm-up
        largest = abs(int8_scores - float_scores)[judged].max()
        print(f"{path}: {len(data.values)} samples, scores differ by at most {largest:.3f}")
        for name, found in (("int8", int8_events), ("float32", float_events)):
            print(
                f"  {name:8s}{', '.join(f'{kind} {timestamp(at)[11:22]}' for kind, at in found) or 'no event'}"
            )
        same = same and [kind for kind, _ in int8_events] == [kind for kind, _ in float_events]
    print("same events" if same else "other events")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
