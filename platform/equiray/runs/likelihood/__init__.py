"""Preferences by likelihood: which of two sentences, or of three options, a causal language model finds likelier."""

from equiray.runs.likelihood.run import run_likelihood

__all__ = ["run_likelihood"]
