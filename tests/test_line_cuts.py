"""Cuts between rows: against Arrow's own parser, whatever quotes and line breaks there are."""

import io
from itertools import pairwise

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from equiray.data import line_cuts
from equiray.data.line_cuts import Cut, LineCuts

cells = st.text(st.sampled_from('a, "\n\r'), max_size=4)


def cuts_of(content: bytes, rows_per_cut: int, *, csv: bool, chunk: int = 1 << 20) -> list[Cut]:
    found = LineCuts(rows_per_cut, csv=csv)
    for start in range(0, len(content), chunk):
        found.feed(content[start : start + chunk])
    return found.cuts


def csv_rows(content: bytes) -> list[tuple]:
    """What Arrow reads, all texts; nothing where there is only a header."""
    parse = pa_csv.ParseOptions(newlines_in_values=True)
    convert = pa_csv.ConvertOptions(column_types={"x": pa.string(), "y": pa.string()}, strings_can_be_null=False)
    table = pa_csv.read_csv(io.BytesIO(content), parse_options=parse, convert_options=convert)
    return [tuple(row.values()) for row in table.to_pylist()]


def check_csv(content: bytes, rows_per_cut: int, chunk: int) -> int:
    """Parts between cuts, each read with the header in front, are the rows of the whole; returns how many cuts."""
    cuts = cuts_of(content, rows_per_cut, csv=True, chunk=chunk)
    if not cuts:
        return 0
    whole, header = csv_rows(content), content[: cuts[0].offset]
    ends = [*cuts[1:], Cut(len(whole), len(content))]
    for start, stop in zip(cuts, ends, strict=True):
        assert csv_rows(header + content[start.offset : stop.offset]) == whole[start.row : stop.row]
    return len(cuts)


@given(st.lists(st.tuples(cells, cells), max_size=12), st.sampled_from(["\n", "\r\n"]), st.integers(1, 4), st.data())
def test_parts_of_a_csv_are_its_rows(rows, newline, rows_per_cut, data):
    """Cells in quotes where they need them, as csv writers do; empty lines anywhere."""

    def written(cell: str) -> str:
        needs = any(each in cell for each in ',"\n\r')
        return '"' + cell.replace('"', '""') + '"' if needs or data.draw(st.booleans()) else cell

    lines = ["x,y"] + [f"{written(x)},{written(y)}" for x, y in rows]
    for place in data.draw(st.lists(st.integers(1, len(lines)), max_size=2)):
        lines.insert(place, "")
    content = newline.join(lines).encode() + newline.encode()
    bom = b"\xef\xbb\xbf" if data.draw(st.booleans()) else b""
    count = check_csv(bom + content, rows_per_cut, data.draw(st.integers(1, 30)))
    assert count >= 1 + max(0, len(rows) - 1) // rows_per_cut


@given(st.binary().map(lambda b: bytes(b'a,"\n\r'[each % 5] for each in b)), st.integers(1, 3), st.integers(1, 9))
@settings(max_examples=300)
@example(b'1,"x"q"\n2,3\n4,5\n', 1, 100)
@example(b'1,a "b\n2,c"\n3,4\n', 1, 100)
@example(b"1,2\r3,4\n5,6\n", 1, 100)
@example(b'1, "x\n3,y"\n', 1, 100)
def test_where_bytes_make_no_sense_there_is_no_cut_or_a_right_one(content, rows_per_cut, chunk):
    content = b"x,y\n" + content
    try:
        csv_rows(content)
    except pa.ArrowInvalid:
        return
    check_csv(content, rows_per_cut, chunk)


@given(st.lists(st.sampled_from(["{}", '{"a": "x y"}', '{"a": "\\n{"}', "", " ", ' {"a": "z"}']), max_size=12))
@example(['{"a": "p"}{"a": "q"}', '{"a": "r"}'])
def test_parts_of_json_lines_are_its_rows(lines):
    content = "".join(line + "\n" for line in lines).encode()
    cuts = cuts_of(content, 2, csv=False, chunk=7)
    for start, stop in pairwise(cuts):
        part = content[start.offset : stop.offset]
        one_a_line = b"}{" not in part  # who reads two objects in a line finds too many rows
        assert pa_json.read_json(io.BytesIO(part)).num_rows == 2 or not one_a_line
    plain = [line for line in lines if line]
    assert not all(line.startswith("{") for line in plain) or len(cuts) == 1 + len(plain) // 2


def test_a_quote_that_is_never_closed_ends_the_search(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(line_cuts, "MAX_ROW_BYTES", 100)
    content = b'x,y\n1,2\n3,"4\n' + b"5,6\n" * 100
    assert [cut.row for cut in cuts_of(content, 1, csv=True, chunk=50)] == [0, 1]


def test_plain_lines_are_counted_without_looking_at_each(monkeypatch: pytest.MonkeyPatch):
    looked = []
    real = line_cuts._lines
    monkeypatch.setattr(line_cuts, "_lines", lambda *a, **k: looked.append(1) or real(*a, **k))
    content = b"x,y\n" + b"12,34\n" * 10_000
    cuts = cuts_of(content, 4000, csv=True, chunk=600)
    assert cuts == [Cut(row, 4 + 6 * row) for row in (0, 4000, 8000)] and len(looked) <= 5
