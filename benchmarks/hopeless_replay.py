"""What `search.stop_hopeless` would have cost a finished sweep: its trials replayed in the order in which they ended.

python benchmarks/hopeless_replay.py runs/sweep-unlearning

The rule looks at a trial once, half way; what it would have ended leaves the front, and its later steps are saved.
"""

import argparse
from pathlib import Path

from equiray.search.ledger import Entry, Ledger
from equiray.search.stopping import hopeless
from equiray.search.study import Progress
from equiray.search.suggesting import covered
from equiray.specs.sweep import SweepSpec, load_sweep_spec


def ended_at(spec: SweepSpec, entry: Entry, finished: list[Entry]) -> int | None:
    """The step at which the rule would have ended a trial; None if it would not."""
    said = [Progress(step=step, steps=steps, figures=figures) for step, steps, figures in entry.curve]
    for count in range(1, len(said) + 1):
        if hopeless(spec, said[:count], finished):
            return said[count - 1].step
    return None


def volume(spec: SweepSpec, entries: list[Entry]) -> float:
    """Hypervolume on validation rows of all points of whole trials."""
    points = [point for entry in entries if entry.outcome is not None for point in entry.outcome.values]
    return covered(spec, points) if points else 0.0


def main() -> None:
    """Replay one sweep."""
    parser = argparse.ArgumentParser(description="What ending hopeless trials would have cost a finished sweep.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    spec, ledger = load_sweep_spec(directory / "spec.yaml"), Ledger(directory / "trials.jsonl")
    kept: list[Entry] = []
    saved = steps = ended = 0
    for entry in ledger.entries:
        if entry.outcome is None or entry.trial.origin == "known":
            kept.append(entry)
            continue
        whole, step = entry.curve[-1][1], ended_at(spec, entry, kept)
        steps += whole
        if step is None:
            kept.append(entry)
        else:
            ended, saved = ended + 1, saved + whole - step
    before, after = volume(spec, ledger.entries), volume(spec, kept)
    print(f"{ended} of {len(ledger.entries)} trials would have been ended, {saved / max(steps, 1):.0%} of steps saved")
    print(f"hypervolume on validation rows {after:.5f} in place of {before:.5f}, {after / before - 1:+.2%}")


if __name__ == "__main__":
    main()
