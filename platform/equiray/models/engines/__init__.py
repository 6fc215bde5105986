"""Engines that write, score and embed text: one small protocol, a backend a file."""
