"""Decisions from scored chains: weights, votes, what to choose, and when to stop, from cached arrays alone."""
