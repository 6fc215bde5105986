"""The four-stage fairness evaluation, as an entry script for a Ray head or any machine with the package installed.

    python jobs/run_evaluation.py jobs/paper.yaml --out runs/paper --address auto

CPU variant, without a cluster (what `make quickstart` runs):

    python jobs/run_evaluation.py jobs/quickstart.yaml --out runs/quickstart

Takes the arguments of `equiray run` and returns its exit codes; `equiray submit` needs no script.
"""

import sys
from collections.abc import Sequence
from typing import NoReturn

from equiray.cli import main as equiray


def main(argv: Sequence[str]) -> NoReturn:
    """Run `equiray run` with `argv` and exit with its code."""
    equiray(["run", *argv])


if __name__ == "__main__":
    main(sys.argv[1:])
