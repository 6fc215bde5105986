"""A sweep: trials by Ray Tune, the front of their points, and what survives of it on test rows."""

from equiray.runs.search.run import run_sweep

__all__ = ["run_sweep"]
