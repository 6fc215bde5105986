"""Bundles from what runs and sweeps left: a point is picked, its parts gathered, its test outputs replayed."""
