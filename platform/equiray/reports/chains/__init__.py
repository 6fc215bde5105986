"""The report of a run of chains: ``chains.json`` read strictly, and the page written from it."""

from equiray.reports.chains.record import CHAINS_NAME, ChainsFile, is_chains, load_chains

__all__ = ["CHAINS_NAME", "ChainsFile", "is_chains", "load_chains"]
