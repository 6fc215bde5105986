"""Thresholds of gates, from cached risks and outputs alone: every threshold, a choice, and when it cannot hurt."""
