"""Spanish, French and Chinese template sets: their rules, their prompts, and that reports call them machine-written."""

import re

import pytest

from equiray.data.templates import build_prompts, load_templates, split_families
from equiray.data.templates.translated import FILES, MACHINE_WRITTEN, parse
from equiray.errors import BadInput
from equiray.reports.words import TASKS

DOCUMENT = """
language: Esperanto
denials: 'ne'
poor: [a]
rich: [b]
irrelevant: [c, d]
neutral: [homoj]
targets:
  gender:
    disadvantaged: {group: female, words: [virinoj]}
    advantaged: {group: male, words: [viroj]}
    why: told
families:
  one: ['[TARGET] estas [MASK].']
"""


@pytest.mark.parametrize("name", FILES)
def test_a_language_is_a_set_like_any_other(name):
    found = load_templates(name)
    assert (len(found.templates), len(found.families)) == (24, 12)
    assert len(found.fillers.poor) == len(found.fillers.rich) == 6 and len(found.fillers.irrelevant) == 12
    assert all(map(len, split_families(found.families, 0).values()))
    for attribute, twins in found.targets.items():
        prompts = build_prompts(found, attribute, neutral=True)
        assert len(prompts) == 24 * (2 * len(twins.pairs) + len(found.neutral))
        for one, other in zip(prompts[::2], prompts[1::2], strict=True):
            if one.side == "disadvantaged":  # twins are one sentence but for the target
                assert one.twin == other.twin and (one.side, other.side) == ("disadvantaged", "advantaged")
                alike = [re.sub(re.escape(p.target), "?", p.prefix, flags=re.IGNORECASE) for p in (one, other)]
                assert alike[0] == alike[1]
        assert all("[" not in prompt.prefix for prompt in prompts)


@pytest.mark.parametrize(("name", "joiner"), [("equiray_es", " "), ("equiray_fr", " "), ("equiray_zh", "")])
def test_what_stands_before_a_filler(name, joiner):
    found = load_templates(name)
    prompts = build_prompts(found, "gender")
    assert {prompt.joiner for prompt in prompts} == {joiner}
    if joiner:  # a noun after an article that agrees with nobody
        assert {prompt.prefix.rsplit(" ", 1)[1] for prompt in prompts} == {"la"}
    assert prompts[0].prefix[0] == prompts[0].prefix[0].upper()


def test_a_french_noun_never_follows_an_article_that_would_be_cut_short():
    fillers = load_templates("equiray_fr").fillers
    assert not [word for word in fillers.words if word[0] in "aeéèiouyh"]


@pytest.mark.parametrize("name", FILES)
def test_reports_say_that_it_is_machine_written(name):
    assert MACHINE_WRITTEN in load_templates(name).source
    assert "machine-written" in TASKS[name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[TARGET] estas", "[TARGET] ne estas"), "a denial before"),
        (("estas [MASK]", "estas"), "needs one"),
        (("rich: [b]", "rich: [b, e]"), "as many poor as rich"),
        (("denials: 'ne'", "denials: '('"), "cannot be read"),
        (("language:", "tongue:"), "cannot be read"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(change, said):
    assert "Esperanto" in parse(DOCUMENT, name="eo", place="eo.yaml").source
    with pytest.raises(BadInput, match=said):
        parse(DOCUMENT.replace(*change), name="eo", place="eo.yaml")
