"""The official PoorOrRich file: what is left out and why, and the golden match of its rows to families."""

import csv
import math
import re
from collections import Counter

import pytest

from equiray.data.templates import build_prompts, load_templates
from equiray.data.templates.families import golden_families, text_key
from equiray.data.templates.poor_or_rich import DUPLICATE, MASK_FIRST, NO_PLACE, REVERSED, SHARED_PREFIX
from equiray.errors import BadInput

# Words of every sentence that say nothing of its scene.
_STOP_WORDS = """
target mask a an the of in to is are was were be being been will as s and or that which it their they them how why do
does did can for all some on with this by when if often not always never usually rarely themselves has have
"""
_STOP = frozenset(_STOP_WORDS.split())


@pytest.fixture(scope="module")
def rows(mirror) -> list[dict[str, str]]:
    with (mirror / "poor_or_rich" / "Augmented_Templates.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{**row, "text": " ".join(row["Augmented Template"].split())} for row in rows]


@pytest.fixture(scope="module")
def golden(rows) -> list:
    by_text = golden_families()
    return [by_text[text_key(row["text"])] for row in rows]


def content_words(text: str) -> set[str]:
    words = set()
    for word in re.findall(r"[a-z]+", text.lower()):
        if word not in _STOP:
            ending = next(
                (
                    e
                    for e in ("ings", "ing", "ies", "ied", "ed", "es", "s")
                    if word.endswith(e) and len(word) - len(e) >= 4
                ),
                "",
            )
            words.add(word.removesuffix(ending))
    return words


def similarity_table(rows) -> tuple[list[dict[str, float]], list[str]]:
    """Cosine of inverse-frequency weighted content words: row -> {family: similarity}."""
    mains = {f"main-{i:03d}": content_words(r["text"]) for i, r in enumerate(rows) if r["Template"] == "main"}
    seen_in = Counter(word for words in mains.values() for word in words)

    def weight(words: set[str]) -> float:
        return sum(math.log((len(mains) + 1) / (seen_in[w] + 0.5)) if seen_in[w] else 0.5 for w in words)

    table = []
    for row in rows:
        words = content_words(row["text"])
        norms = {f: math.sqrt(weight(words) * weight(base)) for f, base in mains.items()}
        table.append({f: weight(words & base) / norms[f] if norms[f] else 0.0 for f, base in mains.items()})
    return table, list(mains)


def test_every_row_is_kept_or_counted(mirror):
    loaded = load_templates("poor_or_rich", shared_prefix="keep")
    assert {e.reason: e.count for e in loaded.excluded} == {NO_PLACE: 1, DUPLICATE: 13, MASK_FIRST: 2, REVERSED: 150}
    assert len(loaded.templates) == 842 - 1 - 13 - 2 - 150 == 676
    kept = [t.id for t in loaded.templates]
    left_out = [row for e in loaded.excluded for row in e.rows]
    assert sorted(kept + left_out) == [f"row-{i:03d}" for i in range(842)]
    assert {e.reason: e.rows for e in loaded.excluded}[NO_PLACE] == ("row-744",)
    assert {e.reason: e.rows for e in loaded.excluded}[MASK_FIRST] == ("row-745", "row-775")


def test_a_file_cut_short_is_refused_and_other_line_ends_are_not(mirror, tmp_path):
    lines = (mirror / "poor_or_rich" / "Augmented_Templates.csv").read_text(encoding="utf-8-sig").splitlines()
    file = tmp_path / "Augmented_Templates.csv"
    file.write_text("\n".join(lines[:-3]), encoding="utf-8")
    with pytest.raises(BadInput, match="3 of 829 PoorOrRich sentences are missing"):
        load_templates("poor_or_rich", path=file)
    file.write_bytes("\r\n".join(lines).encode())
    assert load_templates("poor_or_rich", path=tmp_path).templates == load_templates("poor_or_rich").templates


def test_no_two_families_share_a_prompt_by_default(mirror):
    loaded = load_templates("poor_or_rich")
    assert {e.reason: e.count for e in loaded.excluded}[SHARED_PREFIX] == 120
    prompts = build_prompts(loaded, "gender")
    assert len({p.prefix for p in prompts}) == len(prompts) == 556 * 16
    assert len(loaded.families) == 50
    # Why it matters: the same text stands before [MASK] in several families otherwise.
    everything = load_templates("poor_or_rich", shared_prefix="keep")
    families_of: dict[str, set[str]] = {}
    for template in everything.templates:
        families_of.setdefault(template.before_mask, set()).add(template.family)
    assert len(families_of["[TARGET] are often seen as"]) > 5


def test_reversed_rows_can_be_flipped_instead(mirror):
    flipped = load_templates("poor_or_rich", reversed_rows="flip")
    denials = [t for t in flipped.templates if t.reversed]
    assert len(denials) == 150 and len(flipped.templates) == 706
    assert all(re.search(r"\b(not often|never|rarely)\b", t.text) for t in denials)
    assert not [t for t in flipped.templates if not t.reversed and re.search(r"\b(never|rarely|not often)\b", t.text)]


def test_fifty_families_with_their_six_adverb_variants_in_file_order(golden, rows):
    assert len({g.family for g in golden}) == 50
    for i in range(300):
        assert golden[i].family == f"main-{i // 6 * 6:03d}"
    assert Counter(g.basis for g in golden_families().values())["main"] == 50


@pytest.mark.parametrize("first", [300, 350, 545, 595, 645])
def test_each_block_of_variants_holds_every_family_once(golden_by_row, first):
    assert len({golden_by_row[row].family for row in range(first, first + 50)}) == 50


def test_the_active_voice_block_misses_one_family(golden_by_row):
    assert len({golden_by_row[row].family for row in range(695, 744)}) == 49


@pytest.fixture(scope="module")
def golden_by_row(mirror):
    """The golden file line by line: duplicates keep the family of the variant they are."""
    from importlib import resources

    text = resources.files("equiray.data.templates").joinpath("poor_or_rich_families.csv").read_text()

    class Line:
        def __init__(self, record):
            self.family, self.basis = record["family"], record["basis"]
            self.similarity, self.runner_up = float(record["similarity"]), float(record["runner_up"])
            self.key = record["text_sha256_16"]

    return {int(record["row"]): Line(record) for record in csv.DictReader(text.splitlines())}


def test_golden_similarities_are_those_of_the_file(golden_by_row, rows):
    table, _ = similarity_table(rows)
    for i, row in enumerate(rows):
        line = golden_by_row[i]
        others = [value for family, value in table[i].items() if family != line.family]
        assert line.key == text_key(row["text"])
        assert table[i][line.family] == pytest.approx(line.similarity, abs=6e-4), row["text"]
        assert max(others) == pytest.approx(line.runner_up, abs=6e-4), row["text"]


def test_what_words_alone_do_not_decide_is_marked(golden_by_row):
    """A low or tied similarity is no ground: such rows were read, and say so."""
    for row, line in golden_by_row.items():
        if line.basis == "words":
            assert line.similarity >= line.runner_up and line.similarity > 0.3, row
        elif line.basis == "eye":
            assert line.similarity <= line.runner_up + 1e-9 or line.similarity < 0.45, row
    assert [row for row, line in golden_by_row.items() if line.basis == "generic"] == [414, 745, 807]
    assert sum(line.basis == "eye" for line in golden_by_row.values()) == 17


def test_own_templates_use_other_words(rows):
    """The second template set is a test of transfer only if it is no paraphrase of the first."""
    official = [content_words(row["text"]) for row in rows]
    for template in load_templates("equiray").templates:
        words = content_words(template.text)
        if len(words) > 2:
            assert max(len(words & other) / len(words | other) for other in official) <= 0.34, template.text
