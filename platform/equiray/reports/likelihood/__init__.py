"""The report of preferences by likelihood: ``likelihood.json`` read strictly, and the page written from it."""

from equiray.reports.likelihood.record import LIKELIHOOD_NAME, LikelihoodFile, is_likelihood, load_likelihood

__all__ = ["LIKELIHOOD_NAME", "LikelihoodFile", "is_likelihood", "load_likelihood"]
