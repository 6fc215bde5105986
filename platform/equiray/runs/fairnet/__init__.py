"""A FairNet run (arXiv 2510.19421): base, detectors and adapters, baselines on the same states, and their figures."""

from equiray.runs.fairnet.run import run_fairnet

__all__ = ["run_fairnet"]
