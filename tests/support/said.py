"""What was said, apart from the order's story and in it."""

from contracts.message import Message
from contracts.story import StoryFact


def story(said: list[Message]) -> list[str]:
    return [message.name for message in said if isinstance(message, StoryFact)]


def answer(said: list[Message]) -> Message:
    """The one thing said that is not for the story."""
    (found,) = [message for message in said if not isinstance(message, StoryFact)]
    return found
