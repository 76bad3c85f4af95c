"""What the relay sends together, what it holds back, and what it leaves alone."""

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.envelope import PACK_MESSAGES
from shared.ids import new_id
from shared.relay import WINDOW_ROWS, Parcel, Relay, parcels_of
from shared.store import Changes, OutboxRow
from tests.support.memory import MemoryStore
from tests.support.world import finish


def a_row(subject: str, destination: str = "order", *, public: bool = False) -> OutboxRow:
    return OutboxRow(new_id(), subject, destination, public, {"id": "1"}, "{}")


def numbered(*rows: OutboxRow) -> list[tuple[int, OutboxRow]]:
    return list(enumerate(rows, 1))


def test_rows_for_a_queue_of_our_own_travel_together_and_in_order() -> None:
    (parcel,) = parcels_of(numbered(a_row("a"), a_row("b"), a_row("a")))
    assert parcel.packed and [position for position, _ in parcel.rows] == [1, 2, 3]


def test_a_subject_is_never_in_two_packs_at_once() -> None:
    rows = numbered(*(a_row(f"s{n}") for n in range(PACK_MESSAGES)), a_row("s0"), a_row("other"))
    first, second = parcels_of(rows)
    assert len(first.rows) == PACK_MESSAGES
    assert [row.subject for _, row in second.rows] == ["other"]


def test_outsiders_get_one_message_each_and_the_next_only_after_the_confirm() -> None:
    rows = numbered(
        a_row("a", "shop.order.confirmed", public=True),
        a_row("a", "shop.order.shipped", public=True),
        a_row("b", "shop.order.confirmed", public=True),
        a_row("a", "warehouse.orders"),
    )
    assert [(parcel.destination, parcel.rows[0][0]) for parcel in parcels_of(rows)] == [
        ("shop.order.confirmed", 1),
        ("shop.order.confirmed", 3),
        ("warehouse.orders", 4),
    ]


class OneQueueIsFull:
    """Confirms everything but what goes to `payment`."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def publish(self, parcels: Sequence[Parcel]) -> list[Parcel]:
        self.sent += [parcel.destination for parcel in parcels]
        return [parcel for parcel in parcels if parcel.destination != "payment"]


def test_a_full_queue_does_not_stop_the_others() -> None:
    store = MemoryStore(lambda: datetime.now(UTC))
    rows = [a_row("x", "order"), *(a_row(f"p{n}", "payment") for n in range(WINDOW_ROWS + 10)), a_row("y", "inventory")]
    write(store, rows)
    publisher = OneQueueIsFull()
    relay = Relay(store, publisher)
    first = finish(relay.run(range(4)))
    assert first.refused == {"payment"}
    finish(relay.run(range(4), first.refused))
    finish(relay.run(range(4), first.refused))  # and this one deletes what the last one published
    assert publisher.sent.count("inventory") == 1
    assert {row.destination for row in store.outbox.values()} == {"payment"}


def write(store: MemoryStore, rows: list[OutboxRow]) -> None:
    async def written() -> None:
        async with store.transaction() as tx:
            await tx.write(Changes(outbox=rows))
            await tx.commit()

    finish(written())
