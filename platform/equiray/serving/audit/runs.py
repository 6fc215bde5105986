"""Sets of sequence numbers as runs, as records keep them and a verification compares them: [[first, last], ...]."""

from collections.abc import Iterable, Iterator

Run = list[int]


def add(runs: list[Run], seq: int) -> None:
    """Add a number that is greater than all before."""
    if runs and runs[-1][1] == seq - 1:
        runs[-1][1] = seq
    else:
        runs.append([seq, seq])


def runs_of(seqs: Iterable[int]) -> list[Run]:
    """The runs of ascending numbers."""
    runs: list[Run] = []
    for seq in seqs:
        add(runs, seq)
    return runs


def count(runs: Iterable[Run]) -> int:
    """How many numbers there are."""
    return sum(last - first + 1 for first, last in runs)


def union(runs: Iterable[Run]) -> list[Run]:
    """Runs in order and without overlaps, whatever they were before."""
    whole: list[Run] = []
    for first, last in sorted(runs):
        if whole and first <= whole[-1][1] + 1:
            whole[-1][1] = max(whole[-1][1], last)
        else:
            whole.append([first, last])
    return whole


def common(ours: list[Run], theirs: list[Run]) -> list[Run]:
    """What is in both; each is in order and without overlaps."""
    both: list[Run] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        first, last = max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])
        if first <= last:
            both.append([first, last])
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    return both


def without(ours: list[Run], theirs: list[Run]) -> list[Run]:
    """What is in ours and not in theirs; each is in order and without overlaps."""
    return list(_without(ours, common(ours, theirs)))


def _without(ours: list[Run], taken: list[Run]) -> Iterator[Run]:
    rest = iter([*taken, [float("inf"), float("inf")]])
    out = next(rest)
    for first, last in ours:
        begin = first
        while out[0] <= last:
            if begin < out[0]:
                yield [begin, int(out[0]) - 1]
            begin = int(out[1]) + 1
            out = next(rest)
        if begin <= last:
            yield [begin, last]


def named(runs: list[Run], what: str = "record") -> str:
    """In words: `record 5`, `records 5 to 9 and 12`, `records 1, 3, 5 and 90 more`."""
    shown = [f"{first:,}" if first == last else f"{first:,} to {last:,}" for first, last in runs[:_SHOWN]]
    more = count(runs[_SHOWN:])
    if more:
        shown.append(f"{more:,} more")
    listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    return f"{what}{'' if count(runs) == 1 else 's'} {listed}"


_SHOWN = 6
