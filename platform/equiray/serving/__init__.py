"""Serving: the combined model behind an audited, guarded endpoint on Ray Serve."""
