"""What a finished run says: the HTML report, the terminal table, and the evidence manifest.

Reports read a run directory and nothing else: no model is loaded and no figure is computed again. Every number
on the page is a number of ``results.json``.
"""

from equiray.reports.evidence import verify_evidence, write_evidence
from equiray.reports.markdown import markdown_tables
from equiray.reports.page import write_report
from equiray.reports.terminal import print_summary

__all__ = ["markdown_tables", "print_summary", "verify_evidence", "write_evidence", "write_report"]
