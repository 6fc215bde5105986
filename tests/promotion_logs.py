"""Synthetic logs of a primary and its shadow, written through AuditLog, and a config that names both.

python tests/promotion_logs.py > docs/contracts/promotion.json
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equiray.bundles.checking import version_of
from equiray.metrics.looks import Look
from equiray.serving.audit import AuditLog, Entry
from equiray.serving.promotion.deciding import decide
from equiray.serving.promotion.describing import document
from equiray.serving.promotion.pairing import Versions, pair_log

KEY = bytes(range(32))
TASK = "synthetic"
MANIFEST = Path(__file__).parents[1] / "docs" / "contracts" / "bundle_manifest.json"
CONFIG = """\
# what is served here
applications:
  - name: equiray
    import_path: equiray.serving:build   # ours
    args:
      schema: equiray.serve/1
      bundle: {primary}   # answers
      shadow: "{shadow}" # is only asked
      audit: {{store: "sqlite:///{store}", secrets: {secrets}}}
"""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Synthetic rows with what both decided: -1 is a refusal, and a label that has not come."""

    sex: NDArray[Any]
    primary: NDArray[np.int64]
    shadow: NDArray[np.int64]
    label: NDArray[np.int64]


def synthetic(kind: str, n: int, *, seed: int = 0) -> Rows:
    """Half women; the primary selects less of them, whatever the label; few decisions of the shadow flip at random.

    The shadow that is ``better`` also selects some of the women that the primary rejects, and so halves the gap in
    either label; the one that is ``worse`` rejects half of the women that the primary selects.
    """
    rng = np.random.default_rng(seed)
    sex = np.where(np.arange(n) % 2 == 0, "female", "male")
    label = (rng.random(n) < 0.5).astype(np.int64)
    chance = np.where(sex == "female", 0.4, 0.6) + np.where(label == 1, 0.3, -0.3)
    primary = (rng.random(n) < chance).astype(np.int64)
    shadow = np.where(rng.random(n) < 0.004, 1 - primary, primary)
    women, moved = sex == "female", rng.random(n)
    if kind == "better":
        odds = np.where(label == 1, 1 / 3, 1 / 9)  # of .3 rejected positives, and .9 rejected negatives, .1
        shadow = np.where(women & (primary == 0) & (moved < odds), 1, shadow)
    if kind == "worse":
        shadow = np.where(women & (primary == 1) & (moved < 0.5), 0, shadow)
    return Rows(sex=sex, primary=primary, shadow=shadow, label=label)


def _said(record_id: str, decided: Sequence[int]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{record_id}-{place}",
            "decision": None if one < 0 else int(one),
            "probability": None,
            "gates": {},
            "refused": bool(one < 0),
        }
        for place, one in enumerate(decided)
    ]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder with two bundles' manifests, a config, and a log."""

    folder: Path
    versions: Versions

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'audit.db'}"

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    def open(self) -> AuditLog:
        return AuditLog.open(self.url, key=KEY)

    def write(self, rows: Rows, *, at_once: int = 100, labels: bool = True, shadows: bool = True) -> list[str]:
        """Decisions, each with its shadow, and their outcomes; returns the ids of the decision records."""
        log, ids = self.open(), []
        for start in range(0, len(rows.sex), at_once):
            part = slice(start, start + at_once)
            entry = Entry(kind="decision", key_id="k1", model_version=self.versions.primary, body={})
            body = {"task": TASK, "decisions": _said(entry.record_id, rows.primary[part].tolist())}
            payload = {"attributes": [{"sex": str(each)} for each in rows.sex[part]]}
            log.append(Entry(**{**vars(entry), "body": body, "payload": payload})).result(30)
            ids.append(entry.record_id)
            if shadows:
                decided = _said(entry.record_id, rows.shadow[part].tolist())
                body = {"task": TASK, "shadow_of": entry.record_id, "decisions": decided}
                log.append(Entry(kind="shadow", key_id="k1", model_version=self.versions.shadow, body=body)).result(30)
            if labels:
                found = enumerate(rows.label[part].tolist())
                outcomes = [{"decision_id": f"{entry.record_id}-{i}", "label": y} for i, y in found if y >= 0]
                payload = {"attributes": [None] * len(outcomes)}
                made = Entry(
                    kind="outcome", key_id="k1", model_version="", body={"outcomes": outcomes}, payload=payload
                )
                log.append(made).result(30)
        log.close()
        return ids


def place_in(folder: Path) -> Place:
    """Two manifests that differ by name, a config, the chain's key."""
    for name in ("first", "second"):
        (folder / name).mkdir()
        text = json.loads(MANIFEST.read_text(encoding="utf-8")) | {"name": name}
        (folder / name / "manifest.json").write_text(json.dumps(text), encoding="utf-8")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "audit.key").write_text(KEY.hex())
    (folder / "secrets" / "audit.key").chmod(0o600)
    named = {"primary": folder / "first", "shadow": folder / "second", "store": folder / "audit.db"}
    (folder / "config.yaml").write_text(CONFIG.format(**named, secrets=folder / "secrets"), encoding="utf-8")
    return Place(folder=folder, versions=Versions(*(version_of(folder / name) for name in ("first", "second"))))


def example() -> dict[str, Any]:
    """The document of a first look at 400 synthetic rows with their outcomes."""
    with TemporaryDirectory() as name:
        place = place_in(Path(name))
        place.write(synthetic("better", 400), at_once=50)
        paired = pair_log(place.url, place.versions)
        look = Look(alpha=0.05, number=1, spend=True)
        found = document(paired, decide(paired, look=look, margin=0.02, outcomes_for="every"))
        shutil.rmtree(name, ignore_errors=True)
    return json.loads(printed(found))


def printed(found: dict[str, Any]) -> str:
    """Figures to six decimals: further ones differ between machines."""
    rounded = json.loads(json.dumps(found), parse_float=lambda text: round(float(text), 6))
    return json.dumps(rounded, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(printed(example()))
