"""The official PoorOrRich templates (arXiv 2405.18662): 842 rows, of which a left-to-right score can use 556.

The file is not part of equiray; only a key of each sentence and the family it belongs to are. Wording is left as
published, "women is often seen as" of the singular variants included: both twins of a pair read alike.
"""

import csv
import io
import os
from pathlib import Path
from typing import Literal

from equiray.data.sources import MIRROR_VARIABLE, DataFile, file_sha256, locate
from equiray.data.templates.families import golden_families, text_key
from equiray.data.templates.records import MASK, TARGET, Exclusion, Template, TemplateSet
from equiray.data.templates.words import load_words
from equiray.errors import BadInput

NAME = "poor_or_rich"
CSV_FILE = DataFile(
    name="Augmented_Templates.csv",
    mirror_folder="poor_or_rich",
    sha256=("35e75228f9e1fe4367e5fa517bd8add3ae8628915b429bbdb40e85b309e21c59",),
)
ReversedRows = Literal["drop", "flip"]
SharedPrefix = Literal["drop", "keep"]

NO_PLACE = "no [TARGET] or no [MASK]"
DUPLICATE = "the same sentence as an earlier row"
MASK_FIRST = "[MASK] before [TARGET]: a left-to-right score cannot see the target"
REVERSED = "says the opposite of its base sentence (not often, never, rarely)"
SHARED_PREFIX = "the same text before [MASK] as an earlier row: one prompt to a left-to-right model"


def load(
    path: Path | None, *, reversed_rows: ReversedRows = "drop", shared_prefix: SharedPrefix = "drop"
) -> TemplateSet:
    """The official set; `load_templates` is the public way to it and says what the options do."""
    file = _find(path)
    words = load_words()
    templates, excluded = _sort_rows(_read(file), str(file), flip=reversed_rows == "flip", keep=shared_prefix == "keep")
    return TemplateSet(
        name=NAME,
        templates=templates,
        targets=words.targets,
        neutral=words.neutral,
        fillers=words.fillers,
        excluded=excluded,
        source="PoorOrRich, Augmented_Templates.csv (arXiv 2405.18662)",
        sha256=file_sha256(file),
    )


def _find(path: Path | None) -> Path:
    if path is not None:
        file = path / CSV_FILE.name if path.is_dir() else path
        if not file.is_file():
            raise BadInput("no PoorOrRich file there", place=str(file), fix=f"name the authors' {CSV_FILE.name}")
        return file
    found = locate([(CSV_FILE,)], download=False)
    if found is None:
        raise BadInput(
            "the PoorOrRich templates are not on this machine (no package carries them)",
            place=f"{MIRROR_VARIABLE}={os.environ.get(MIRROR_VARIABLE, '')!r}",
            fix=f"get {CSV_FILE.name} from the authors of arXiv 2405.18662 and put it into "
            f"${MIRROR_VARIABLE}/{CSV_FILE.mirror_folder}, or use the embedded set: templates equiray",
        )
    return found.paths[0]


def _read(file: Path) -> list[dict[str, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"not UTF-8: {error}", place=str(file), fix="use the authors' file as it is") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    needed = {"Augmented Template", "Change", "Positive/Negative"}
    if missing := sorted(needed - set(reader.fieldnames or ())):
        raise BadInput(f"no column {', '.join(missing)}", place=str(file), fix="use the authors' file as it is")
    return list(reader)


def _sort_rows(
    rows: list[dict[str, str]], place: str, *, flip: bool, keep: bool
) -> tuple[tuple[Template, ...], tuple[Exclusion, ...]]:
    golden = golden_families()
    left_out: dict[str, list[str]] = {r: [] for r in (NO_PLACE, DUPLICATE, MASK_FIRST, REVERSED, SHARED_PREFIX)}
    kept: list[Template] = []
    texts, prefixes = set(), set()
    for number, row in enumerate(rows):
        text = " ".join((row["Augmented Template"] or "").split())
        key = text_key(text)
        if key not in golden:
            raise BadInput(
                f"not a PoorOrRich sentence: {text!r:.120}",
                place=f"{place}, row {number}",
                fix="use the authors' file as it is",
            )
        template = Template(
            id=f"row-{number:03d}",
            family=golden[key].family,
            text=text,
            change=row["Change"],
            reversed=row["Positive/Negative"] == "negative",
        )
        prefix = template.before_mask.casefold()
        reason = _why_not(template, text in texts, flip, prefix in prefixes and not keep)
        if reason:
            left_out[reason].append(template.id)
        else:
            kept.append(template)
            prefixes.add(prefix)
        texts.add(text)
    if len(texts) < len(golden):
        raise BadInput(
            f"{len(golden) - len(texts)} of {len(golden)} PoorOrRich sentences are missing",
            place=place,
            fix="the file was cut short: use the authors' file as it is",
        )
    return tuple(kept), tuple(Exclusion(reason=r, rows=tuple(ids)) for r, ids in left_out.items() if ids)


def _why_not(template: Template, duplicate: bool, flip: bool, shared_prefix: bool) -> str | None:
    if TARGET not in template.text or MASK not in template.text:
        return NO_PLACE
    if duplicate:
        return DUPLICATE
    if TARGET not in template.before_mask:
        return MASK_FIRST
    if template.reversed and not flip:
        return REVERSED
    return SHARED_PREFIX if shared_prefix else None
