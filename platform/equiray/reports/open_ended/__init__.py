"""The report of open-ended generation: ``open_ended.json`` read strictly, and the page written from it."""

from equiray.reports.open_ended.record import OPEN_ENDED_NAME, OpenEndedFile, is_open_ended, load_open_ended

__all__ = ["OPEN_ENDED_NAME", "OpenEndedFile", "is_open_ended", "load_open_ended"]
