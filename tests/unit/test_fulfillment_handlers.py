"""What fulfillment says to what it hears, handler by handler, over rows in memory."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TypeVar
from uuid import UUID, uuid4

import pytest

from contracts.frame import MessageRefused
from contracts.fulfillment import (
    FulfillmentProgressed,
    FulfillmentRequested,
    OrderShipment,
    ReportShipment,
    RequestFulfillment,
    ShipmentsStopped,
    StopShipments,
)
from contracts.inventory import ShipStock
from contracts.message import Message
from contracts.shortage import AmendShipment
from contracts.story import StoryFact
from contracts.values import Address, FulfillmentStatus, Pick
from services.fulfillment.domain import (
    CANCELLED,
    DELIVERED,
    EFFECTS,
    FULFILLMENT,
    LABELED,
    LOST,
    REJECTED,
    SHIPPED,
    Fulfillment,
    FulfillmentEvent,
    Verdict,
    called_off,
)
from services.fulfillment.handlers import report_shipment, request_fulfillment, stop_shipments
from services.fulfillment.tables import FULFILLMENTS
from shared.consumer import Ask, Moment, NotYet, Publish, Said
from shared.frozen import replace
from shared.table import Need
from shared.working_set import Rows

M = TypeVar("M", bound=Message)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MOMENT = Moment(NOON, uuid4, "warehouse", "orchestrator/run/fulfill/do", "message-1")
HOME = Address(name="Ada Lovelace", line1="12 Analytical Row", city="London", postal_code="N1", country="GB")
PICKS = (
    Pick(warehouse="north", sku="TEA-1", quantity=2),
    Pick(warehouse="east", sku="TEA-1", quantity=1),
    Pick(warehouse="north", sku="CUP-9", quantity=1),
)


class Desk:
    """One order's shipments, and what was said of them."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.order_id = uuid4()
        self.rows.loaded(Need.of(FULFILLMENTS, "order_id", self.order_id), [])
        self.said: list[Said] = []
        self._messages = 0

    def asks(self, picks: tuple[Pick, ...] = PICKS) -> list[UUID]:
        command = RequestFulfillment(order_id=self.order_id, ship_to=HOME, picks=picks)
        self._decide(lambda: request_fulfillment(command, self.rows, MOMENT))
        (reply,) = self.heard(FulfillmentRequested)
        return list(reply.fulfillment_ids)

    def reports(self, fulfillment_id: UUID, status: str, minute: float, **more: str) -> list[Said]:
        report = ReportShipment(
            report_id=more.pop("report_id", f"{fulfillment_id}/{status}/{minute}"),
            fulfillment_id=fulfillment_id,
            status=FulfillmentStatus(status),
            occurred_at=NOON + timedelta(minutes=minute),
            **more,
        )
        return self._decide(lambda: report_shipment(report, self.rows, MOMENT))

    def stops(self) -> list[Said]:
        command = StopShipments(order_id=self.order_id)
        return self._decide(lambda: stop_shipments(command, self.rows, MOMENT))

    def shipment(self, fulfillment_id: UUID) -> Fulfillment:
        found = self.rows.get(FULFILLMENTS, fulfillment_id)
        assert found is not None
        return found

    def events(self) -> list[FulfillmentEvent]:
        inserted = self.rows.changes().inserts.values()
        return [row for rows in inserted for row in rows if isinstance(row, FulfillmentEvent)]

    def heard(self, type_: type[M]) -> list[M]:
        bare = [said.command if isinstance(said, Ask) else said for said in self.said]
        return [message for message in bare if isinstance(message, type_)]

    def _decide(self, decide: Callable[[], list[Said]]) -> list[Said]:
        said = decide()
        self.rows.merge(self._messages)
        self._messages += 1
        self.said += said
        return said


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_one_shipment_per_warehouse_is_ordered_there(desk: Desk) -> None:
    ids = desk.asks()
    orders = desk.heard(OrderShipment)
    assert [(order.fulfillment_id, order.warehouse) for order in orders] == [(ids[0], "east"), (ids[1], "north")]
    assert [pick.sku for pick in orders[1].picks] == ["TEA-1", "CUP-9"]
    keys = [said.key for said in desk.said if isinstance(said, Ask)]
    assert keys == [f"fulfillment/{id_}/ship/do" for id_ in ids]
    assert desk.heard(FulfillmentProgressed) == []
    assert [desk.shipment(id_).version for id_ in ids] == [1, 1]
    assert desk.shipment(ids[0]).ship_to["city"] == "London"


def test_every_move_is_one_version_and_one_event(desk: Desk) -> None:
    east, _ = desk.asks()
    desk.reports(east, "acknowledged", 1)
    desk.reports(east, "shipped", 2, carrier="Royal Post", tracking_number="RP1")  # skipping five steps
    shipment = desk.shipment(east)
    moves = [event for event in desk.events() if event.fulfillment_id == east]
    assert [event.version for event in moves] == list(range(1, 9)) and shipment.version == 8
    assert [event.state.value for event in moves] == [
        "pending", "acknowledged", "picking", "picked", "packing", "packed", "labeled", "shipped",
    ]  # fmt: skip
    assert [(event.origin, event.report_id) for event in moves[-1:]] == [("labeled", f"{east}/shipped/2")]
    assert all((a.state, b.state) in FULFILLMENT.pairs for a, b in pairwise(moves))


def test_the_order_is_told_once_per_report_and_inventory_once_per_shipment(desk: Desk) -> None:
    east, _ = desk.asks()
    said = desk.reports(east, "shipped", 2, carrier="Royal Post", tracking_number="RP1")
    assert [type(message) for message in said] == [FulfillmentProgressed, ShipStock]
    fact, shipped = said
    assert isinstance(fact, FulfillmentProgressed) and fact.status == "shipped" and fact.tracking_number == "RP1"
    assert isinstance(shipped, ShipStock) and shipped.picks == (PICKS[1],)
    assert [type(message) for message in desk.reports(east, "delivered", 3)] == [FulfillmentProgressed]
    assert len(desk.heard(ShipStock)) == 1


def test_steps_inside_the_house_are_told_nobody(desk: Desk) -> None:
    east, _ = desk.asks()
    desk.reports(east, "picking", 1)
    assert [desk.reports(east, status, minute) for minute, status in enumerate(("picked", "packing", "packed"), 2)] == [
        [], [], [],
    ]  # fmt: skip


def test_a_repeated_report_does_nothing_at_all(desk: Desk) -> None:
    east, _ = desk.asks()
    desk.reports(east, "picking", 1, report_id="r1")
    before = desk.shipment(east)
    assert desk.reports(east, "picking", 1, report_id="r1") == []
    assert desk.shipment(east) == before


def test_a_late_report_is_kept_and_moves_nothing(desk: Desk) -> None:
    east, _ = desk.asks()
    desk.reports(east, "delivered", 5)
    assert desk.reports(east, "picking", 1) == []
    assert desk.shipment(east).state == "delivered"
    assert desk.events()[-1].verdict == "late"


def test_a_tracking_number_that_comes_late_still_reaches_the_order(desk: Desk) -> None:
    east, _ = desk.asks()
    desk.reports(east, "shipped", 5)
    (fact,) = desk.reports(east, "labeled", 4, tracking_number="RP7")
    assert isinstance(fact, FulfillmentProgressed)
    assert (fact.status, fact.tracking_number) == ("shipped", "RP7")


@pytest.mark.parametrize(
    ("first", "then"),
    [("cancelled", "shipped"), ("rejected", "delivered"), ("cancelled", "picking"), ("shipped", "cancelled"),
     ("delivered", "on_hold"), ("packed", "awaiting_stock"), ("rejected", "cancelled")],
)  # fmt: skip
def test_a_contradiction_is_kept_and_told_to_the_story(desk: Desk, first: str, then: str) -> None:
    east, _ = desk.asks()
    desk.reports(east, first, 1)
    (fact,) = desk.reports(east, then, 2)
    assert isinstance(fact, StoryFact) and fact.name == "fulfillment.report_contradicted"
    assert desk.shipment(east).state == first
    assert desk.events()[-1].verdict == "contradicted"


def test_on_hold_takes_up_where_it_was(desk: Desk) -> None:
    east, _ = desk.asks()
    desk.reports(east, "picked", 1)
    desk.reports(east, "on_hold", 2)
    assert desk.shipment(east).state == "on_hold"
    desk.reports(east, "acknowledged", 3)  # "go on": the warehouse does not start again
    assert desk.shipment(east).state == "picked"
    desk.reports(east, "on_hold", 4)
    desk.reports(east, "packed", 5)
    assert [event.state.value for event in desk.events()[-3:]] == ["picked", "packing", "packed"]


def test_a_report_for_an_unknown_shipment_waits_and_is_refused_in_the_end(desk: Desk) -> None:
    nobody = uuid4()
    desk.rows.loaded(Need.of(FULFILLMENTS, "id", nobody), [])
    with pytest.raises(NotYet) as waiting:
        desk.reports(nobody, "picking", 1)
    (refusal,) = waiting.value.otherwise
    assert isinstance(refusal, Publish) and refusal.storefront == "warehouse"
    assert isinstance(refusal.event, MessageRefused)
    assert (refusal.event.reason, refusal.event.message_id) == ("unknown_fulfillment", "message-1")


@pytest.mark.parametrize("state", sorted(FulfillmentStatus))
def test_what_is_still_open_is_called_off_and_the_rest_is_kept(desk: Desk, state: FulfillmentStatus) -> None:
    """Two shipments: the second has just been ordered."""
    first, second = desk.asks()
    desk.rows.put(replace(desk.shipment(first), state=state))
    stopped, kept = called_off([desk.shipment(first), desk.shipment(second)])
    leaves = state in (LABELED, SHIPPED, LOST, DELIVERED)
    over = state in (CANCELLED, REJECTED)
    assert [row.id for row in stopped] == [second] if leaves or over else [first, second]
    assert {row.state for row in stopped} == {CANCELLED}
    assert [(pick.warehouse, pick.sku, pick.quantity) for pick in kept] == ([("east", "TEA-1", 1)] if leaves else [])


def test_stopped_shipments_are_told_to_their_warehouses_and_the_order(desk: Desk) -> None:
    first, second = desk.asks()
    desk.reports(first, "shipped", 1)
    said = desk.stops()
    assert desk.heard(ShipmentsStopped) == [ShipmentsStopped(order_id=desk.order_id, kept=PICKS[1:2])]
    [amended] = [ask.command for ask in said if isinstance(ask, Ask)]
    assert isinstance(amended, AmendShipment) and (amended.fulfillment_id, amended.picks) == (second, ())
    assert [(one.fulfillment_id, one.status) for one in said if isinstance(one, FulfillmentProgressed)] == [
        (second, CANCELLED)
    ]
    [event] = [event for event in desk.events() if event.verdict is Verdict.AMENDED]
    assert (event.fulfillment_id, event.version, event.origin, event.state) == (second, 2, "pending", CANCELLED)


def test_an_order_without_a_shipment_has_nothing_to_stop(desk: Desk) -> None:
    assert desk.stops() == [ShipmentsStopped(order_id=desk.order_id, kept=())]


def test_every_state_says_what_its_move_does() -> None:
    assert set(EFFECTS) == set(FulfillmentStatus)
