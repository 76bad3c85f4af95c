"""What makes two commands the same: their meaning, not their spelling."""

from uuid import UUID

import pytest

from contracts.checkout import PlaceCheckout
from contracts.order import ConfirmOrder
from shared.consumer import do_key_of, reply_queue
from shared.envelope import content_hash
from tests.support.checkouts import a_checkout


def test_spelling_does_not_change_the_hash() -> None:
    checkout = a_checkout("c", {"tea": 1})
    spelled = PlaceCheckout.model_validate_json(checkout.model_dump_json(indent=2, exclude_defaults=True))
    assert content_hash(spelled) == content_hash(checkout)


def test_content_changes_the_hash() -> None:
    assert content_hash(a_checkout("c", {"tea": 1})) != content_hash(a_checkout("c", {"tea": 2}))


def test_a_field_left_at_its_default_does_not_count() -> None:
    """A newer version with one more optional field must know its own older words."""
    order = UUID(int=1)
    assert content_hash(ConfirmOrder(order_id=order)) == content_hash(ConfirmOrder(order_id=order, picks=()))


@pytest.mark.parametrize(
    ("key", "queue", "do"),
    [("orchestrator/r/s/undo", "orchestrator", "orchestrator/r/s/do"), ("fulfillment/f/ship/do", "fulfillment", None)],
)
def test_a_key_says_who_asked_and_what_it_takes_back(key: str, queue: str, do: str | None) -> None:
    assert (reply_queue(key), do_key_of(key)) == (queue, do)
