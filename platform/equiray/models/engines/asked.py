"""A question about a case as the conversation that an engine continues."""

from equiray.data.cases.asking import Question
from equiray.models.engines.records import Message


def messages_of(question: Question) -> tuple[Message, ...]:
    """The solved examples, each a turn of its own, then the question."""
    turns = [
        turn
        for example in question.examples
        for turn in (Message("user", example.text), Message("assistant", example.reply))
    ]
    return (*turns, Message("user", question.text))
