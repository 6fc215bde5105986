"""Isolated steps of many chains in packed batches, against one step per forward: same chains, tokens, model, dtype.

    python benchmarks/steps_vs_single.py [--quick]

The first step is scored with its question, later ones alone. Needs the mirror of BBQ (EQUIRAY_DATA); see
`step_scoring` for chains and peer. The bound is the GEMM rate, whose share is printed.
"""

import sys

from step_scoring import compare

TARGET = 1.9

if __name__ == "__main__":
    sys.exit(compare(__doc__ or "", "steps_vs_single", "isolated", TARGET))
