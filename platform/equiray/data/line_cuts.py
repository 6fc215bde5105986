r"""Where rows of a CSV or JSON-lines file begin, found while its bytes pass by to be hashed.

Notable: a line break within quotes ends no row. So the quotes of CSV are followed, as Arrow's parser does: a quote
opens a cell at its beginning alone, and is doubled within. What does not look as it should (a quote inside a cell
without quotes, a lone carriage return, a line of JSON lines that begins with something else than a brace) ends the
search: what comes after it is not cut. A cut is therefore right or not there, and who reads the rows between two cuts
can tell by their number.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_ROW_BYTES = 1 << 24
"""A longer row ends the search: it is one that nobody can read, or a quote that is never closed."""

_NEWLINE, _RETURN, _QUOTE, _COMMA, _BRACE = (ord(each) for each in '\n\r",{')
_BOM = b"\xef\xbb\xbf"


class Cut(NamedTuple):
    """A row, counted from 0, and the byte at which it begins."""

    row: int
    offset: int


class _Lines(NamedTuple):
    """Rows that end in a piece of the file: the bytes [n] behind them, empty lines aside, and where they stop.

    `strange` where no row can be told behind that.
    """

    behind: NDArray[np.int64]
    stop: int
    strange: bool


class LineCuts:
    """Finds where every so many rows begin; feed it the file's bytes in their order, in chunks of any size.

    Parameters
    ----------
    rows_per_cut : int
    csv : bool
        The first line is a header and cells may be in quotes; else JSON lines.

    Attributes
    ----------
    cuts : list of Cut
        The first row, then one every `rows_per_cut` rows as far as rows can be told; perhaps one at the file's end.
    """

    def __init__(self, rows_per_cut: int, *, csv: bool) -> None:
        self._rows_per_cut, self._csv = rows_per_cut, csv
        self.cuts = [] if csv else [Cut(0, 0)]
        self._rows = -1 if csv else 0  # that have ended, the header aside
        self._offset = 0  # of `_rest`, a row that has not ended
        self._rest = b""
        self._lost = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the file."""
        if self._lost:
            return
        piece = self._rest + chunk
        if self._offset == 0 and piece.startswith(_BOM):
            self._offset, piece = len(_BOM), piece[len(_BOM) :]
        codes = np.frombuffer(piece, np.uint8)
        rows = self._plain_rows(piece, codes)
        if rows is not None and self._rows + rows < self._next_row:
            self._rows += rows
            stop = piece.rfind(b"\n") + 1
        else:
            behind, stop, self._lost = _lines(codes, csv=self._csv)
            self._note(self._offset + behind)
        self._offset, self._rest = self._offset + stop, piece[stop:]
        self._lost |= len(self._rest) > MAX_ROW_BYTES

    @property
    def _next_row(self) -> int:
        return self.cuts[-1].row + self._rows_per_cut if self.cuts else 0

    def _plain_rows(self, piece: bytes, codes: NDArray[np.uint8]) -> int | None:
        """How many rows end here if every line break ends one, which is quickly seen; None where it may not."""
        if b"\r" in piece or (self._csv and b'"' in piece):
            return None
        breaks = codes == _NEWLINE
        begun = np.append(True, breaks[:-1])  # where a line begins
        plain = not (begun & breaks).any() if self._csv else not (begun & (codes != _BRACE)).any()
        return int(np.count_nonzero(breaks)) if plain else None

    def _note(self, behind: NDArray[np.int64]) -> None:
        """Note cuts among the offsets behind the rows that end here."""
        while (needed := self._next_row - self._rows) <= len(behind):
            self.cuts.append(Cut(self._next_row, int(behind[needed - 1])))
            self._rows, behind = self.cuts[-1].row, behind[needed:]
        self._rows += len(behind)


def _lines(piece: NDArray[np.uint8], *, csv: bool) -> _Lines:
    """The rows of a piece that begins with a row."""
    quotes = np.flatnonzero(piece == _QUOTE) if csv else np.empty(0, np.int64)
    breaks = np.flatnonzero(piece == _NEWLINE)
    ends = breaks[_outside(breaks, quotes)]
    starts = np.append(0, ends + 1)
    returns = np.flatnonzero(piece == _RETURN)
    alone = returns[_outside(returns, quotes) & (piece.take(returns + 1, mode="clip") != _NEWLINE)]
    opening = quotes[::2]
    inside = opening[(opening > 0) & ~np.isin(piece[opening - 1], (_COMMA, _NEWLINE, _QUOTE))]
    strange = [alone[alone < len(piece) - 1], inside]  # what follows the last byte is not known yet
    length = ends - starts[:-1]
    empty = (length == 0) | ((length == 1) & (piece[starts[:-1]] == _RETURN))
    if not csv:
        begun = starts[:-1][~empty]
        strange.append(begun[piece[begun] != _BRACE])
    stop = min((int(places[0]) for places in strange if len(places)), default=len(piece))
    kept = ends < stop
    last = int(ends[kept][-1]) + 1 if kept.any() else 0
    return _Lines(ends[kept & ~empty] + 1, last, stop < len(piece))


def _outside(places: NDArray[np.int64], quotes: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.searchsorted(quotes, places) % 2 == 0
