"""The report of a reward model's run: ``reward.json`` read strictly, and the page written from it."""

from equiray.reports.reward.record import REWARD_NAME, RewardFile, is_reward, load_reward

__all__ = ["REWARD_NAME", "RewardFile", "is_reward", "load_reward"]
