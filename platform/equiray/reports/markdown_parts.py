"""Pieces of Markdown in which whatever a run says of itself stays text."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def escaped(text: str) -> str:
    """Text of the run in one line that Markdown shows as it is: no markup, no HTML, no new cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def bullets(lines: Iterable[str]) -> str:
    """A list, its lines escaped."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def pipe_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
