"""The report of a FairNet run: ``fairnet.json`` read strictly, and the page written from it."""

from equiray.reports.fairnet.record import FAIRNET_NAME, FairnetFile, is_fairnet, load_fairnet

__all__ = ["FAIRNET_NAME", "FairnetFile", "is_fairnet", "load_fairnet"]
