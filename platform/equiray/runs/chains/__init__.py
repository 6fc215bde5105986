"""Decisions by many chains: sampled, scored by a finished reward run, weighed, and measured against the majority."""

from equiray.runs.chains.run import run_chains

__all__ = ["run_chains"]
