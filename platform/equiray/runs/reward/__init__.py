"""A reward model's run: chains of BBQ, their steps labelled, a model trained, and measured on unseen categories."""

from equiray.runs.reward.run import run_reward

__all__ = ["run_reward"]
