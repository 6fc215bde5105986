"""equiray's own template set, the words that fill it, and the prompts made of it."""

import re
from pathlib import Path

import numpy as np
import pytest

from equiray.data.templates import Template, TemplateSet, build_prompts, load_templates, score_prompts
from equiray.data.templates.own import parse_families
from equiray.data.templates.words import parse_words
from equiray.errors import BadInput


@pytest.fixture(scope="module")
def own() -> TemplateSet:
    return load_templates("equiray")


def one_template(text: str, **kwargs) -> TemplateSet:
    from dataclasses import replace

    return replace(load_templates("equiray"), templates=(Template(id="t", family="f", text=text, **kwargs),))


def prefixes(text: str, attribute: str = "gender") -> list[str]:
    return [prompt.prefix for prompt in build_prompts(one_template(text), attribute)]


def test_own_set_has_fifty_families_of_distinct_sentences(own):
    assert len(own.templates) == len({t.text for t in own.templates}) == 200
    assert len(own.families) == 50
    assert own.excluded == ()


def test_own_set_covers_the_attributes_and_the_papers_words(own):
    assert {"gender", "race", "religion", "marital_status", "age", "race*gender"} <= set(own.targets)
    gender = own.targets["gender"]
    assert [pair.advantaged for pair in gender.pairs] == (
        ["men", "boys", "fathers", "dads", "grandfathers", "your sons", "your grandsons", "your nephews"]
    )
    assert gender.disadvantaged_group == "female"
    assert own.fillers.poor[0] == "poor" and own.fillers.rich[0] == "rich"
    assert [len(own.fillers.poor), len(own.fillers.rich), len(own.fillers.irrelevant)] == [9, 9, 18]
    assert all(pairs.why.endswith(".") and len(pairs.why) > 60 for pairs in own.targets.values())


def test_prompts_of_an_attribute_are_twins_that_differ_in_the_target_alone(own):
    for attribute in own.targets:
        prompts = build_prompts(own, attribute)
        assert len({p.prefix for p in prompts}) == len(prompts), attribute
        for one, other in zip(prompts[::2], prompts[1::2], strict=True):
            assert (one.side, other.side) == ("disadvantaged", "advantaged")
            assert one.twin == other.twin and one.family == other.family
            swapped = re.sub(re.escape(one.target), other.target, one.prefix, count=1, flags=re.IGNORECASE)
            assert swapped.casefold() == other.prefix.casefold()


def test_no_template_says_anything_of_poor_or_rich_before_the_mask(own):
    fillers = "|".join(map(re.escape, own.fillers.words))
    assert not [t.text for t in own.templates if re.search(rf"\b({fillers})\b", t.before_mask)]


def test_neutral_prompts_are_marked_and_have_no_twin(own):
    prompts = build_prompts(own.select(own.families[:1]), "gender", neutral=True)
    neutral = [p for p in prompts if p.side == "neutral"]
    assert len(neutral) == 4 * len(own.neutral)
    assert len({p.twin for p in neutral}) == len(neutral)
    with pytest.raises(ValueError, match="no stereotype"):
        neutral[0].stereotype(own.fillers)


def test_capital_at_the_start_of_a_sentence_only():
    assert prefixes("[TARGET] are [MASK].")[14:] == ["Your nieces are", "Your nephews are"]
    assert prefixes("It rains. [TARGET] are [MASK].")[0] == "It rains. Women are"
    assert prefixes("I know, [TARGET] are [MASK].")[0] == "I know, women are"
    assert prefixes("“[TARGET] are [MASK]”")[0] == "“Women are"
    assert prefixes("I met Black [TARGET], now [MASK].")[0] == "I met Black women, now"


def test_possessive_of_a_plural_in_s_is_the_apostrophe_alone():
    assert prefixes("[TARGET]'s lot is [MASK].")[:4] == [
        "Women's lot is",
        "Men's lot is",
        "Girls' lot is",
        "Boys' lot is",
    ]


def test_filler_joins_an_opening_quote_without_a_blank():
    prompt = build_prompts(one_template('I call [TARGET] "[MASK]".'), "gender")[0]
    assert prompt.prefix == 'I call women "'
    assert prompt.continuations(["poor"]) == ["poor"]
    plain = build_prompts(one_template("I call [TARGET] [MASK]."), "gender")[0]
    assert plain.prefix + plain.continuations(["poor"])[0] == "I call women poor"


@pytest.mark.parametrize("denied", [False, True])
def test_stereotype_changes_sides_with_the_target_and_with_denial(denied):
    templates = one_template("[TARGET] are [MASK].", reversed=denied)
    one, other = build_prompts(templates, "gender")[:2]
    poor, rich = templates.fillers.poor, templates.fillers.rich
    expected = (rich, poor) if denied else (poor, rich)
    assert (one.stereotype(templates.fillers), other.stereotype(templates.fillers)) == expected
    assert (one.antistereotype(templates.fillers), other.antistereotype(templates.fillers)) == expected[::-1]


class LengthScorer:
    """Scores a continuation by its own length and its prefix's, so that a mix-up of rows or columns shows."""

    def mean_logprobs(self, prefixes, continuations):
        return [-(len(p) + np.array([len(c) for c in cs]) / 100) for p, cs in zip(prefixes, continuations, strict=True)]


def test_scores_stand_in_prompt_and_filler_order(own):
    prompts = build_prompts(own.select(own.families[:2]), "gender")
    scores = score_prompts(LengthScorer(), prompts, own.fillers)
    assert scores.shape == (128, 36)
    expected = [[-(len(p.prefix) + (1 + len(w)) / 100) for w in own.fillers.words] for p in prompts]
    np.testing.assert_allclose(scores, expected)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda row: row[:-1], "another number of scores"),
        (lambda row: np.where(np.arange(36) == 3, np.nan, row), "nan is no log-probability .filler 'needy' after"),
        (lambda row: row * 0 + 0.5, "0.5 is no log-probability"),
    ],
)
def test_a_broken_scorer_is_named(own, broken, message):
    class Broken(LengthScorer):
        def mean_logprobs(self, prefixes, continuations):
            return [broken(row) for row in super().mean_logprobs(prefixes, continuations)]

    with pytest.raises(BadInput, match=message) as raised:
        score_prompts(Broken(), build_prompts(own.select(own.families[:1]), "gender"), own.fillers)
    assert raised.value.place == "Broken"


def test_select_keeps_families_and_the_first_wordings(own):
    chosen = own.select(("street-talk", "film"), variants_per_family=2)
    assert [t.id for t in chosen.templates] == ["street-talk/0", "street-talk/1", "film/0", "film/1"]
    with pytest.raises(BadInput, match="unknown template families nowhere"):
        own.select(("film", "nowhere"))


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["Here [MASK] are [TARGET]."], "needs one"),
        (["[TARGET] and [TARGET] are [MASK]."], "needs one"),
        (["[TARGET] are never [MASK]."], "denial"),
        (["[TARGET] aren't [MASK]."], "denial"),
        (["[TARGET] are [MASK] here.", "[TARGET] are [MASK] there."], "that of x/0"),
    ],
)
def test_a_sentence_that_breaks_a_rule_is_named(sentences, message):
    import yaml

    with pytest.raises(BadInput, match=message) as raised:
        parse_families(yaml.safe_dump({"families": {"x": sentences}}), place="mine.yaml")
    assert "mine.yaml" in raised.value.place and "family x" in raised.value.place


def words_yaml(women="[women, girls]", men="[men, boys]", irrelevant="[a, b]", extra="") -> str:
    return (
        f"poor: [poor]\nrich: [rich]\nirrelevant: {irrelevant}\nneutral: [people]\n{extra}"
        f"targets: {{gender: {{disadvantaged: {{group: f, words: {women}}}, "
        f"advantaged: {{group: m, words: {men}}}, why: w}}}}"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (words_yaml(men="[men]"), "equal length, not 2 and 1"),
        (words_yaml(men="[men, women]"), "a target stands twice"),
        (words_yaml(irrelevant="[a]"), "as many irrelevant ones"),
        (words_yaml(irrelevant="[a, rich]"), "a filler stands twice"),
        (words_yaml(extra="surplus: 1\n"), "surplus"),
    ],
)
def test_words_out_of_balance_are_refused(document, message):
    assert parse_words(words_yaml(), place="words.yaml").targets["gender"].pairs[1] == ("girls", "boys")
    with pytest.raises(BadInput, match=message):
        parse_words(document, place="words.yaml")


def test_unknown_names_say_what_there_is(own):
    with pytest.raises(BadInput, match="unknown template set 'rich_or_poor'"):
        load_templates("rich_or_poor")  # pyright: ignore[reportArgumentType]
    with pytest.raises(BadInput, match="no targets for attribute 'height'") as raised:
        build_prompts(own, "height")
    assert "race*gender" in raised.value.fix


def test_poor_or_rich_without_its_file_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("EQUIRAY_DATA", raising=False)
    with pytest.raises(BadInput, match="not on this machine") as raised:
        load_templates("poor_or_rich")
    assert "EQUIRAY_DATA" in raised.value.fix and "2405.18662" in raised.value.fix
    with pytest.raises(BadInput, match="no PoorOrRich file there"):
        load_templates("poor_or_rich", path=tmp_path / "absent.csv")


def test_poor_or_rich_refuses_a_sentence_that_is_not_in_it(tmp_path):
    file: Path = tmp_path / "Augmented_Templates.csv"
    file.write_text("Augmented Template,Change,Positive/Negative\n[TARGET] are very [MASK].,often,positive\n")
    with pytest.raises(BadInput, match=r"not a PoorOrRich sentence: '\[TARGET\] are very") as raised:
        load_templates("poor_or_rich", path=tmp_path)
    assert "row 0" in raised.value.place
    file.write_text("Template\nx\n")
    with pytest.raises(BadInput, match="no column Augmented Template, Change, Positive/Negative"):
        load_templates("poor_or_rich", path=file)
