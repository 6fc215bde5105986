"""The chains that a spec like `jobs/reward_model.yaml` asks for, written ahead of its run.

    python jobs/run_sampling.py jobs/reward_model.yaml --set cases.items=600 --set sampling.chains=16 --fair

On a GPU, or beside other work, the slow part can be done first and be stopped at any time: what is written is kept, and
the same command, or `equiray run` with the same spec, goes on from there. CPU variant, in seconds:

    python jobs/run_sampling.py jobs/reward_model.yaml --set cases.items=22 --set sampling.chains=2
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from equiray.errors import EquirayError
from equiray.runs.sampling.ahead import sample_ahead


def main(argv: Sequence[str]) -> int:
    """Write the chains; the exit codes are those of `equiray run`."""
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("spec", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--fair", action="store_true", help="of held-out cases chains of the fairness prompt, too")
    chosen = parser.parse_args(argv)
    try:
        sample_ahead(chosen.spec, tuple(chosen.overrides), fair=chosen.fair, say=_say)
    except EquirayError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
