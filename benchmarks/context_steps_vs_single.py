"""Steps in context, one forward a chain, against one step per forward: same chains, tokens, model, dtype.

    python benchmarks/context_steps_vs_single.py [--quick]

Each step is scored after all that stands before it. Needs the mirror of BBQ (EQUIRAY_DATA); see `step_scoring` for
chains and peer. The bound is the GEMM rate, whose share is printed.
"""

import sys

from step_scoring import compare

TARGET = 4.0

if __name__ == "__main__":
    sys.exit(compare(__doc__ or "", "context_steps_vs_single", "in_context", TARGET))
