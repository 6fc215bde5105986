"""Open-ended generation: prompts about groups, what a model makes of them, and how that is rated."""

from equiray.runs.open_ended.run import run_open_ended

__all__ = ["run_open_ended"]
