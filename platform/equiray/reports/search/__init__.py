"""The report of a sweep: ``search.json`` read strictly, and the page written from it."""

from equiray.reports.search.record import SEARCH_NAME, SearchFile, is_search, load_search

__all__ = ["SEARCH_NAME", "SearchFile", "is_search", "load_search"]
