"""Whether the endpoint decides 2,000 people of Adult as the batch pipeline does with the same bundle.

    python benchmarks/endpoint_vs_batch.py

Per dtype of the model: requests of 1 to 256 rows in a random order through `equiray serve`, against one call of the
bundle's decider with all rows. Thresholds stand in the middle of the scores, where most rows are near them. Texts and
token ids must be identical, scores within 1e-5 (float32) or 2e-2 (bfloat16: padding changes hidden states), and
decisions and gates the same but for rows whose score is as near to a threshold as scores are apart: these are listed.
Under `deterministic: true` every row is decided alone, and must come out bit for bit as it does in this process.
"""

import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from harness import start
from numpy.typing import NDArray
from served_bundle import BATCH_ROWS, Endpoint, endpoint, people, trained

from equiray.bundles.bundle import Bundle, load_bundle
from equiray.bundles.deciding import Decisions, GatedDecider, with_thresholds
from equiray.models.backbones import encode_texts
from equiray.serving.decisions.rows import table_of
from served import until  # pyright: ignore[reportMissingImports]

TASK, ROWS, TRAINED_ON, ALONE_ROWS = "adult", 2000, 3000, 256
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}


class Said(NamedTuple):
    """What rows were decided: float64 [N], bool [N], float64 [N, gates], bool [N, gates]."""

    probability: NDArray[np.float64]
    positive: NDArray[np.bool_]
    risk: NDArray[np.float64]
    open: NDArray[np.bool_]


def asked(served: Endpoint, gates: Sequence[str], rows: int, seed: int) -> Said:
    """Every row once, in a random order and requests of random sizes."""
    draw, order = random.Random(seed), list(range(rows))
    draw.shuffle(order)
    found: dict[int, dict] = {}
    while order:
        size = draw.randint(1, BATCH_ROWS)
        part, order = order[:size], order[size:]
        found |= dict(zip(part, served.decide(part), strict=True))
    every = [found[place] for place in range(rows)]
    return Said(
        np.array([one["probability"] for one in every]),
        np.array([one["decision"] == 1 for one in every]),
        np.array([[one["gates"][gate]["risk"] for gate in gates] for one in every]),
        np.array([[one["gates"][gate]["open"] for gate in gates] for one in every]),
    )


def check_texts(bundle: Bundle, table: pa.Table) -> None:
    """What the endpoint makes of rows that came as JSON is what training made of the table."""
    assert bundle.serializer is not None and isinstance(bundle.decider, GatedDecider)
    place = pa.array(np.arange(len(table)))
    sent = table_of(json.loads(json.dumps(table.to_pylist())), bundle.serializer.schema)
    ours = bundle.serializer.texts(sent.append_column("row_id", place))
    theirs = bundle.serializer.texts(table.append_column("row_id", place))
    backbone, longest = bundle.decider.fairnet.classifier.backbone, bundle.decider.max_tokens
    ids = [[list(row) for row in encode_texts(backbone, texts, longest)] for texts in (ours, theirs)]
    if ours != theirs or ids[0] != ids[1]:
        raise SystemExit("the endpoint's texts or token ids are others than the batch's")


def compare(batch: Decisions, said: Said, dtype: str, thresholds: Sequence[float], cut: float) -> None:
    """Print how far apart both are, and which rows came out otherwise; stop where they may not."""
    risk_apart = float(np.abs(said.risk - batch.risk).max())
    same_gates = (said.open == batch.open).all(1)
    apart = float(np.abs(said.probability - batch.probability)[same_gates].max())
    near_gate = (np.abs(batch.risk - np.array(thresholds)) <= risk_apart).any(1)
    near = near_gate | (np.abs(batch.probability - cut) <= apart)
    other = ~same_gates | (said.positive != batch.positive)
    print(
        f"{dtype}: {len(near):,} rows; texts and token ids identical; probabilities {apart:.1e} apart, risks", end=" "
    )
    print(f"{risk_apart:.1e}, at most {TOLERANCE[dtype]:g} allowed; {int(batch.open.sum()):,} gates open,", end=" ")
    print(f"{int(batch.positive.sum()):,} positive; {int(near.sum())} rows so near a threshold, of them", end=" ")
    print(f"{int((other & near).sum())} came out otherwise, of the others {int((other & ~near).sum())}")
    for place in np.flatnonzero(other):
        print(f"  row {place}: probability {batch.probability[place]:.6f}, {said.probability[place]:.6f}", end="; ")
        print(f"risk {batch.risk[place].tolist()}, {said.risk[place].tolist()}")
    if max(apart, risk_apart) > TOLERANCE[dtype] or (other & ~near).any():
        raise SystemExit("the endpoint is not the batch pipeline")


def check_alone(bundle: Bundle, folder: Path, table: pa.Table) -> None:
    """Under `deterministic: true`: bit for bit as this process decides each row by itself."""
    assert bundle.serializer is not None
    texts = bundle.serializer.texts(table.append_column("row_id", pa.array(np.arange(len(table)))))
    own = [bundle.decide_texts([text]) for text in texts]
    with endpoint(bundle.path, folder, table, TASK, alone=True) as served:
        for seed in (0, 1):
            said = asked(served, own[0].gates, len(table), seed)
            equal = [
                bool(said.probability[place] == one.probability[0]) and bool((said.risk[place] == one.risk[0]).all())
                for place, one in enumerate(own)
            ]
            print(f"deterministic, order {seed + 1}: {sum(equal)} of {len(equal)} rows equal bit by bit")
            if not all(equal):
                raise SystemExit("`deterministic: true` gave other bits")


def main() -> None:
    """Compare, for each dtype."""
    start(__doc__ or "")
    for dtype in TOLERANCE:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            bundle = load_bundle(trained(folder, TASK, rows=TRAINED_ON, dtype=dtype))
            table = people(bundle, ROWS)
            check_texts(bundle, table)
            assert bundle.serializer is not None and isinstance(bundle.decider, GatedDecider)
            first = bundle.decide(table)
            cut, thresholds = float(np.median(first.probability)), np.median(first.risk, axis=0).astype(float).tolist()
            live = dict(zip(first.gates, thresholds, strict=True))
            texts = bundle.serializer.texts(table.append_column("row_id", pa.array(np.arange(len(table)))))
            batch = with_thresholds(bundle.decider, cut, live)(texts, np.arange(len(texts)))
            with endpoint(bundle.path, folder / "together", table, TASK, alone=False) as served:
                served.server.configure(threshold=cut, gates=live)
                until(lambda: "+" in served.ask([0])["model_version"], "the live settings are taken")
                compare(batch, asked(served, batch.gates, len(table), 0), dtype, thresholds, cut)
            check_alone(bundle, folder / "alone", table.slice(0, ALONE_ROWS))


if __name__ == "__main__":
    main()
