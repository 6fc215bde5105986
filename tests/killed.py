"""`equiray` in a process of its own that kills itself, as kill -9 would, in the middle of a named piece of work.

    python killed.py LOG PLACE N COMMAND...

Every call of a place leaves a line in LOG, before it begins; the Nth call of PLACE (from 1) never begins. Without a
place (``-``), the command runs to its end.
"""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from equiray.cli import main
from equiray.mitigation.reward.gold import GoldRule
from equiray.mitigation.reward.training import _Training
from equiray.models.engines.cache import CompletionCache
from equiray.runs.chains.scored import ChainScorer
from equiray.runs.reward import run as reward_run

PLACES: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "keep a completion": (CompletionCache, "add", lambda _, request, sampling, done: [request.request_id, done.index]),
    "label a block": (GoldRule, "label", lambda _, cases: [one.case.case_id for one in cases]),
    "make an update": (_Training, "_update", lambda training, step: [training.course.out_dir.name, step]),
    "score the held-out steps": (reward_run, "scores_of", lambda *_: None),
    "score a side": (ChainScorer, "scored_anew", lambda _, side, cases: [side, len(cases)]),
}


def watch(log: Path, place: str, fatal: int) -> None:
    """Note every call of every place, and let the fatal one never begin."""
    calls: Counter[str] = Counter()

    def watched(name: str, work: Callable[..., Any], about: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            calls[name] += 1
            if name == place and calls[name] == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps([name, about(*arguments)]) + "\n")
            return work(*arguments, **named)

        return call

    for name, (owner, attribute, about) in PLACES.items():
        setattr(owner, attribute, watched(name, getattr(owner, attribute), about))


if __name__ == "__main__":
    watch(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    main(sys.argv[4:])
