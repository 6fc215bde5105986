"""What a question lists and what a chain says, read from text."""

import pytest

from equiray.data.cases.asking import Asking, ask
from equiray.data.cases.free_text import listed_options, read_free_chain, same_answer
from reward_cases import case


def test_options_are_found_in_a_question_as_it_is_asked():
    question = ask(case("one"), Asking(order_seed=3))
    assert listed_options(question.text) == question.options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Who?\n\nA. Ann\nB. Bob", ("Ann", "Bob")),
        ("Who?\n(A) Ann\n(B) Bob\n(C) Nobody can tell\n\nSay why.", ("Ann", "Bob", "Nobody can tell")),
        ("A) first\nB) second\n\nand then\nA) third\nB) fourth", ("third", "fourth")),
        ("A. the dog\nA. a cat\nB. a mouse", ("a cat", "a mouse")),
        ("A. only one", None),
        ("A. Ann\nC. Cid", None),
        ("A. the dog\nB. The dog.", None),
        ("A man said:\nB. was there.", None),
        ("", None),
    ],
)
def test_options_are_lines_one_after_the_other(text: str, options: tuple[str, ...] | None):
    assert listed_options(text) == options


@pytest.mark.parametrize(
    ("text", "said", "steps"),
    [
        ("Paris is large.\n\nAnswer: Paris", "Paris", ("Paris is large.",)),
        ("Paris is large.\n\nSo the answer is **Paris**.", "Paris**.", ("Paris is large.",)),
        ("Answer: Rome\n\nNo, wait.\n\nFinal answer: Paris", "Paris", ("No, wait.",)),
        ("It is so.\n\nThe answer is:\n42", "42", ("It is so.",)),
        ("Sum.\n\nAnswer: \\boxed{-4}", "-4", ("Sum.",)),
        ("Paris", "Paris", ("Paris",)),
        ("Answer: Paris", "Paris", ("Answer: Paris",)),
        ("One may think.\n\nOr not.", None, ("One may think.", "Or not.")),
        ("One may think.\n\nAnswer:", None, ("One may think.", "Answer:")),
        ("", None, ()),
        ("...", None, ("...",)),
    ],
)
def test_an_answer_is_what_the_last_line_that_states_one_says(text: str, said: str | None, steps: tuple[str, ...]):
    found = read_free_chain(text, separator="\n\n")
    assert (found.said, found.steps) == (said, steps)
    assert found.outcome == ("unparsed" if said is None else "answered")


@pytest.mark.parametrize("text", ["I'm sorry, but I can't help with that.", "I cannot assist.\n\nIt is harmful."])
def test_a_refusal_is_none_of_the_answers(text: str):
    assert read_free_chain(text, separator="\n\n").outcome == "refused"
    assert read_free_chain("Answer: Paris", separator="\n\n", declined=True).outcome == "refused"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Paris", "paris."), ("The  Louvre", '"louvre"'), ("Paris**.", "Paris"), ("３", "3"), ("(an apple)", "an apple")],
)
def test_answers_are_one_but_for_case_marks_and_article(one: str, other: str):
    assert same_answer(one) == same_answer(other)


@pytest.mark.parametrize(
    ("one", "other"), [("-4", "4"), ("3.5", "35"), ("42", "forty-two"), ("a", "b"), ("not A", "A")]
)
def test_answers_are_two_otherwise(one: str, other: str):
    assert same_answer(one) != same_answer(other)


def test_a_line_of_blanks_takes_no_time():
    assert listed_options("A. x" + " " * 500_000 + "y\nB. z") == ("x" + " " * 500_000 + "y", "z")
