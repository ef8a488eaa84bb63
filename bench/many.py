"""Many streams that share a model, stepped by one call: nanoseconds for each stream and step, beside one stream alone.

    python bench/many.py [--hidden 32 128] [--streams 1 8 64 512] [--threads 1 2] [--json FILE]

With `--threads`, every thread has streams of its own: a step does not hold the interpreter's lock.
"""

import argparse
import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent)]

import network as networks  # noqa: E402
from edgelstm import machine  # noqa: E402
from peers import loaded_model  # noqa: E402


def ns_per_stream(model, streams: int, threads: int, rounds: int) -> float:
    """Return the smallest median over rounds of the time of one call, divided by its streams."""
    repeat = max(5, 20_000 // streams)
    batches = [model.streams(streams) for _ in range(threads)]
    x = networks.signal(model.inputs, streams)
    out = [np.empty((streams, model.outputs), np.float32) for _ in batches]

    def work(batch, y, times):
        for n in range(repeat):
            start = time.perf_counter_ns()
            batch.step(x, y)
            times[n] = time.perf_counter_ns() - start

    best = float("inf")
    for _ in range(rounds):
        times = np.empty((threads, repeat))
        workers = [
            threading.Thread(target=work, args=arguments)
            for arguments in zip(batches, out, times, strict=True)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = min(best, float(np.median(times)) / (streams * threads))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, nargs="+", default=[32, 128])
    parser.add_argument("--inputs", type=int, default=4)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    header = machine.describe()
    machine.print_header(
        f"many: streams that share a model, {args.inputs} inputs, LSTM and a dense output", header
    )
    report = {}
    for hidden in args.hidden:
        model = loaded_model(networks.make(hidden, args.inputs))
        for threads in args.threads:
            for streams in args.streams:
                ns = ns_per_stream(model, streams, threads, args.rounds)
                report[f"hidden {hidden}, {streams} streams, {threads} threads"] = ns
                print(
                    f"  hidden {hidden:4d}  {streams:5d} streams  {threads} threads  {ns:8.0f} ns for each stream and step",
                    flush=True,
                )
    if args.json:
        args.json.write_text(json.dumps({"machine": header, "ns_per_stream": report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
