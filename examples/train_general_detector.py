"""Make the general detector that ships in edgelstm/models: an LSTM of 32 units, int8, trained on made-up signals alone.

    python examples/train_general_detector.py -o edgelstm/models/general.elstm

Needs torch, and about a quarter of an hour on one core. The same seed and versions make the same file.
"""

import argparse
import sys
from pathlib import Path

from edgelstm import model_file
from edgelstm_converters.training.general import converted, train_general

ROUNDS = 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"of training, on new signals each ({ROUNDS})"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    network = train_general(
        args.rounds,
        args.seed,
        lambda number, loss: print(f"{number}/{args.rounds}  loss {loss:.4f}", file=sys.stderr, flush=True),
    )
    model = converted(network, args.seed)
    model_file.save(model, args.output)
    print(
        f"{args.output}: {args.output.stat().st_size:,} bytes, {model.provenance.output_snr_db:.1f} dB from float"
    )


if __name__ == "__main__":
    main()
