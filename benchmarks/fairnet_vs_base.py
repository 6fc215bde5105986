"""FairNet's time in one pass against the base model's, and against the authors' two passes.

    python benchmarks/fairnet_vs_base.py [--quick]

MiniLM on the rows of COMPAS as text, 20 % of them with an open gate, detector included; batches of 64 rows of about one
length, the same for all. The base is the same fine-tuned model without detector and adapters. Prints `fairnet_vs_base`
(time over the base's) and `fairnet_vs_two_pass` (how many times faster than a whole pass with the adapters off and then
a whole gated one), and beside them two passes of which the first stops at the detector.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from harness import Goal, Side, agree, measure_sides, publish, start

from equiray.data.examples.of_task import examples_of_task, fit_row_serializer
from equiray.data.tasks.load import load_task
from equiray.mitigation.fairnet import (
    FairNet,
    TrainingRows,
    Validation,
    correct,
    lower_states,
    one_pass,
    train_base,
    two_pass,
    two_pass_stopped,
)
from equiray.mitigation.fairnet.batches import sorted_batches
from equiray.models.backbones import Backbone, TokenBatch, encode_texts, load_backbone, padded
from equiray.specs.fairnet import FairNetSpec
from equiray.specs.run import TaskSpec

OPEN, BATCH_ROWS, TRAINING_ROWS = 0.2, 64, 512
MOST_OVER_BASE, LEAST_OVER_TWO_PASS = 1.05, 1.9
SPEC = FairNetSpec.model_validate(
    {
        "schema": "equiray.fairnet/1",
        "name": "benchmark",
        "tasks": [{"name": "compas"}],
        "backbone": {"source": "minilm", "dtype": "bfloat16"},
        "detector": {"kind": "group", "support": 0.01},
    }
)


def compas() -> tuple[list[list[int]], np.ndarray, np.ndarray, Backbone]:
    """Token ids, label and whether female, of every row, and the backbone that reads them."""
    backbone = load_backbone(SPEC.backbone)
    task = load_task(TaskSpec(name="compas"), 0)
    serializer = fit_row_serializer(
        task,
        order=[feature.name for feature in task.schema.features],
        max_tokens=SPEC.backbone.max_tokens,
        count_tokens=lambda texts: [len(ids) for ids in encode_texts(backbone, list(texts), 512)],
    )
    rows = examples_of_task(task, serializer, ["sex"])
    tokens = encode_texts(backbone, list(map(str, rows.inputs)), SPEC.backbone.max_tokens)
    return tokens, rows.label.astype(np.int64), rows.attributes["sex"] == "Female", backbone


def trained() -> tuple[FairNet, list[TokenBatch]]:
    """A FairNet that a few rows taught, and all rows in batches; its gate opens for a share `OPEN` of them."""
    tokens, label, female, backbone = compas()
    few = slice(TRAINING_ROWS)
    rows = TrainingRows(
        lower=lower_states(backbone, tokens[few], 4), labels=label[few], vulnerable={"sex": female[few]}
    )
    base, _ = train_base(backbone, rows, Validation(rows.lower, rows.labels), SPEC, 0)
    fairnet = correct(base, rows, SPEC, 0).fairnet
    lengths = np.array([len(ids) for ids in tokens])
    batches = [padded(backbone, [tokens[i] for i in chosen]) for chosen in sorted_batches(lengths, BATCH_ROWS)]
    risk = torch.cat([one_pass(fairnet, batch).risk for batch in batches])[:, 0]
    threshold = float(torch.nanquantile(risk, 1 - OPEN))
    print(f"COMPAS: {len(tokens):,} rows, {lengths.mean():.1f} tokens on average, {len(batches)} batches")
    return replace(fairnet, thresholds={"sex": threshold}), batches


@torch.inference_mode()
def base_pass(fairnet: FairNet, batch: TokenBatch) -> torch.Tensor:
    """Logits of the base model."""
    backbone = fairnet.classifier.backbone
    with backbone.computing():
        states = backbone.embed(batch)
    return fairnet.classifier.logits(states, 0)


def check(fairnet: FairNet, batches: Sequence[TokenBatch]) -> None:
    """One pass decides as two do; closed gates are the base's bit for bit."""
    ours = [one_pass(fairnet, batch) for batch in batches]
    logits, is_open = torch.cat([made.logits for made in ours]), torch.cat([made.open for made in ours])[:, 0]
    for name, other in (("two passes", two_pass), ("two passes, the first stopped", two_pass_stopped)):
        agree(f"logits as {name}", logits, torch.cat([other(fairnet, batch).logits for batch in batches]), 0.0)
    base = torch.cat([base_pass(fairnet, batch) for batch in batches])
    agree("logits as the base where gates are closed", logits[~is_open], base[~is_open], 0.0)
    moved = (logits[is_open] - base[is_open]).abs().mean()
    print(f"gates open for {is_open.float().mean():.1%} of rows, which moves their logits by {moved:.2g} on average")


def main() -> None:
    """Measure, check and report."""
    quick = start(__doc__ or "")
    fairnet, batches = trained()
    check(fairnet, batches)

    def side(name: str, run: Callable[[FairNet, TokenBatch], Any]) -> Side:
        def over(chosen: range) -> float:
            for number in chosen:
                run(fairnet, batches[number])
            return float(sum(len(batches[number].ids) for number in chosen))

        return Side(name, over)

    sides = [
        side("base", base_pass),
        side("one pass", one_pass),
        side("two passes", two_pass),
        side("two passes, the first stopped", two_pass_stopped),
    ]
    taken = measure_sides(sides, len(batches), quick=quick)
    settings = f"MiniLM, {SPEC.backbone.dtype}, batches of {BATCH_ROWS}, {OPEN:.0%} open"
    over_base = [rates["base"] / rates["one pass"] for rates in taken]
    goal = Goal("at most", MOST_OVER_BASE)
    publish("fairnet_vs_base", over_base, unit="times the time", peer=f"base, {settings}", quick=quick, goal=goal)
    over_two = [rates["one pass"] / rates["two passes"] for rates in taken]
    goal = Goal("at least", LEAST_OVER_TWO_PASS)
    peer = f"two whole passes, {settings}"
    publish("fairnet_vs_two_pass", over_two, unit="times as fast", peer=peer, quick=quick, goal=goal)
    stopped = [rates["one pass"] / rates["two passes, the first stopped"] for rates in taken]
    print(f"against two passes, the first stopped at the detector: {np.median(stopped):.3f} times as fast")


if __name__ == "__main__":
    sys.exit(main())
