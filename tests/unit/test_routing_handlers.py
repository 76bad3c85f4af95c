"""How orders find their warehouses: what is held where, what is written down of it, and who answers when the solver is
asked."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.frame import CommandWithdrawn
from contracts.inventory import (
    HoldStock,
    QuestionOverdue,
    RouteProposed,
    StockCommitted,
    StockHeld,
    StockReleased,
    StockShort,
)
from contracts.message import Message
from contracts.story import StoryFact
from contracts.values import Destination
from services.inventory import effects
from services.inventory.domain import ReservationStatus
from services.inventory.effects import answer
from services.inventory.handlers import make_consumer
from services.inventory.routing.cheapest import priced, problem_of, to_minor
from services.inventory.routing.places import locate
from services.inventory.routing.rows import QuestionState
from services.inventory.routing.search import search
from services.inventory.routing.strategy import Demand, RoutingPolicy, StrategyName
from services.inventory.tables import (
    BOOKINGS,
    DISPATCHES,
    PRODUCTS,
    QUESTIONS,
    RESERVATIONS,
    ROUTES,
    SHELVES,
    WAREHOUSES,
)
from tests.support.routes import LARGE, a_large_room, described, weighs
from tests.support.stock_room import StockRoom, at_once, commit, hold, order, release, ship

PARIS = Destination(country="FR", city="Paris", latitude=48.85, longitude=2.35)
LEIPZIG, LYON, GDANSK = (51.34, 12.37), (45.76, 4.84), (54.35, 18.65)


def a_room(strategy: StrategyName = StrategyName.CHEAPEST, **more: Any) -> StockRoom:
    return StockRoom(make_consumer(RoutingPolicy(strategy=strategy, **more)))


@pytest.fixture
def room() -> StockRoom:
    """Three warehouses: Gdansk is first in the list, Lyon the nearest to Paris, Leipzig the cheapest."""
    room = a_room().stocked(("tea", "leipzig", 9), ("tea", "lyon", 9), ("tea", "gdansk", 1), ("pot", "leipzig", 2))
    return describe(room)


def describe(room: StockRoom, **leipzig: Any) -> StockRoom:
    places = (("gdansk", 0, GDANSK, 200), ("leipzig", 1, LEIPZIG, 300), ("lyon", 2, LYON, 500))
    for code, priority, (latitude, longitude), shipment in places:
        bands = ((500, 60), (2_500, 110))
        more = leipzig if code == "leipzig" else {}
        where = {"latitude": latitude, "longitude": longitude, "shipment_minor": shipment, "bands": bands}
        room.hears(described(room, code, priority, **where, **more))
    room.hears(weighs(room, "tea", 500))
    return room


def answer_of(said: list[Message]) -> Message:
    (found,) = [message for message in said if not isinstance(message, StoryFact)]
    return found


def picks(said: list[Message]) -> list[tuple[str, str, int]]:
    held = answer_of(said)
    assert isinstance(held, StockHeld | StockCommitted), held
    return [(pick.warehouse, pick.sku, pick.quantity) for pick in held.picks]


# -- the three strategies, and what is written down ------------------------------------------------------------------


def test_the_cheapest_warehouse_gives_and_the_others_costs_are_written_down(room: StockRoom) -> None:
    assert picks(room.hears(hold(1, ("tea", 2), ship_to=PARIS))) == [("leipzig", "tea", 2)]
    (route,) = room.store.rows(ROUTES)
    assert (route.order_id, route.strategy, route.cost_minor, route.gap_permille) == (order(1), "cheapest", 410, 0)
    assert route.chosen == [["leipzig", "tea", 2]]
    assert route.candidates == [
        {"warehouse": "leipzig", "chosen": True, "km": 766, "cost_minor": 410},
        {"warehouse": "lyon", "km": 392, "cost_minor": 560},
        {"warehouse": "gdansk", "km": 1277, "why": "lacks 1 x tea"},
    ]
    assert route.note == "to coordinates"
    assert route.decided_at == room.now and route.message_id


def test_the_nearest_warehouse_gives_first() -> None:
    room = describe(
        a_room(StrategyName.NEAREST).stocked(("tea", "leipzig", 9), ("tea", "lyon", 1), ("tea", "gdansk", 9))
    )
    assert picks(room.hears(hold(1, ("tea", 2), ship_to=PARIS))) == [("lyon", "tea", 1), ("leipzig", "tea", 1)]
    (route,) = room.store.rows(ROUTES)
    assert [(one["warehouse"], one["km"]) for one in route.candidates] == [
        ("lyon", 392),
        ("leipzig", 766),
        ("gdansk", 1277),
    ]
    assert (route.strategy, route.cost_minor, route.gap_permille) == ("nearest", None, None)


def test_the_priority_list_is_written_down_in_short() -> None:
    room = describe(
        a_room(StrategyName.PRIORITY).stocked(("tea", "leipzig", 9), ("tea", "lyon", 9), ("tea", "gdansk", 1))
    )
    assert picks(room.hears(hold(1, ("tea", 2)))) == [("gdansk", "tea", 1), ("leipzig", "tea", 1)]
    (route,) = room.store.rows(ROUTES)
    assert (route.strategy, route.chosen, route.candidates) == (
        "priority",
        [["gdansk", "tea", 1], ["leipzig", "tea", 1]],
        [],
    )


def test_nothing_is_written_down_where_nothing_was_chosen(room: StockRoom) -> None:
    assert isinstance(answer_of(room.hears(hold(1, ("tea", 99), ship_to=PARIS))), StockShort)
    room.hears(hold(2, ("tea", 1), ship_to=PARIS), commit(2))
    assert [route.order_id for route in room.store.rows(ROUTES)] == [order(2)], "a hold that stands is not routed again"


@pytest.mark.parametrize(
    ("to", "note", "warehouse"),
    [
        (Destination(country="FR", city="Lyon"), "to Lyon, FR", "leipzig"),
        (Destination(country="FR", city="Nowhere-sur-Rien"), "to Paris, the largest city of FR", "leipzig"),
        (Destination(country="XX", city="Paris"), "nobody knows where it goes: by the priority list", "gdansk"),
        (None, "nobody knows where it goes: by the priority list", "gdansk"),
    ],
)
def test_a_place_is_looked_up_and_an_unknown_one_falls_back(
    room: StockRoom, to: Destination | None, note: str, warehouse: str
) -> None:
    assert picks(room.hears(hold(1, ("tea", 2), ship_to=to)))[0][0] == warehouse
    assert room.store.rows(ROUTES)[0].note == note


def test_a_warehouse_that_cannot_ship_a_sku_does_not(room: StockRoom) -> None:
    room.now += timedelta(seconds=1)
    room.hears(weighs(room, "tea", 500, "leipzig"))
    assert picks(room.hears(hold(1, ("tea", 2), ship_to=PARIS)))[0][0] == "lyon"
    reasons = {one["warehouse"]: one.get("why") for one in room.store.rows(ROUTES)[0].candidates}
    assert reasons == {"lyon": None, "leipzig": "cannot ship tea", "gdansk": "lacks 1 x tea"}


def test_an_older_word_about_costs_changes_nothing(room: StockRoom) -> None:
    older = described(room, "leipzig", 1, shipment_minor=9_999)
    room.hears(older.model_copy(update={"as_of": room.now - timedelta(days=1)}))
    assert picks(room.hears(hold(1, ("tea", 2), ship_to=PARIS)))[0][0] == "leipzig"


def test_a_batch_of_many_orders_at_few_units_over_three_warehouses_is_exact() -> None:
    """Later messages of the batch see what earlier ones took: the cheapest warehouse is emptied first."""
    room = describe(a_room().stocked(("tea", "leipzig", 5), ("tea", "lyon", 3), ("tea", "gdansk", 4)))
    said = room.hears(*(hold(number, ("tea", 1), ship_to=PARIS) for number in range(1, 101)))
    held = [message.picks[0].warehouse for message in said if isinstance(message, StockHeld)]
    assert held == ["gdansk"] * 4 + ["leipzig"] * 5 + ["lyon"] * 3
    assert sum(isinstance(message, StockShort) for message in said) == 88
    assert len(room.store.rows(ROUTES)) == 12
    room.check_the_books()


def test_an_expired_hold_is_routed_again_when_it_is_committed(room: StockRoom) -> None:
    room.hears(hold(1, ("tea", 2), ship_to=PARIS))
    room.passes(901)
    room.hears(hold(2, ("tea", 4), ship_to=PARIS), hold(3, ("tea", 4), ship_to=PARIS))
    again = commit(1).model_copy(update={"ship_to": PARIS})
    assert picks(room.hears(again)) == [("lyon", "tea", 2)]
    assert [route.chosen for route in room.store.rows(ROUTES) if route.order_id == order(1)] == [
        [["leipzig", "tea", 2]],
        [["lyon", "tea", 2]],
    ]
    room.check_the_books()


# -- the capacity of a day ---------------------------------------------------------------------------------------------


@pytest.fixture
def busy() -> StockRoom:
    """Leipzig, the cheapest, takes two shipments a day."""
    room = a_room().stocked(("tea", "leipzig", 90), ("tea", "lyon", 90), ("tea", "gdansk", 1))
    return describe(room, daily_shipments=2)


def shipments(room: StockRoom) -> int:
    return int(room.store.row(DISPATCHES, "leipzig").shipments)


def test_a_warehouse_takes_as_many_shipments_a_day_as_it_can(busy: StockRoom) -> None:
    said = busy.hears(*(hold(number, ("tea", 2), ship_to=PARIS) for number in (1, 2, 3)))
    assert [message.picks[0].warehouse for message in said if isinstance(message, StockHeld)] == [
        "leipzig",
        "leipzig",
        "lyon",
    ]
    third = next(route for route in busy.store.rows(ROUTES) if route.order_id == order(3))
    assert {"warehouse": "leipzig", "km": 766, "why": "at capacity"} in third.candidates
    assert shipments(busy) == 2
    busy.now += timedelta(days=1)
    assert picks(busy.hears(hold(4, ("tea", 2), ship_to=PARIS)))[0][0] == "leipzig"
    assert shipments(busy) == 1, "a new day begins with nothing"


def test_what_is_released_or_expires_the_same_day_gives_its_place_back(busy: StockRoom) -> None:
    busy.hears(hold(1, ("tea", 2), ship_to=PARIS), hold(2, ("tea", 2), ship_to=PARIS, for_s=60.0), commit(1))
    busy.hears(release(1), release(1))
    assert shipments(busy) == 1
    busy.passes(61)
    assert shipments(busy) == 0
    busy.hears(release(2))
    assert shipments(busy) == 0, "what expired has given its place back"
    assert busy.store.row(BOOKINGS, order(2)).warehouses == []
    busy.hears(commit(2), hold(3, ("tea", 2), ship_to=PARIS))
    assert shipments(busy) == 1


def test_an_expired_hold_that_is_taken_again_counts_again(busy: StockRoom) -> None:
    busy.hears(hold(1, ("tea", 2), ship_to=PARIS, for_s=60.0))
    busy.passes(61)
    busy.hears(commit(1).model_copy(update={"ship_to": PARIS}))
    assert shipments(busy) == 1
    busy.hears(release(1))
    assert shipments(busy) == 0


def test_a_place_of_yesterday_is_not_given_back_today(busy: StockRoom) -> None:
    busy.hears(hold(1, ("tea", 2), ship_to=PARIS), commit(1))
    busy.now += timedelta(days=1)
    busy.hears(hold(2, ("tea", 2), ship_to=PARIS), release(1))
    assert shipments(busy) == 1


def test_what_has_left_keeps_its_place(busy: StockRoom) -> None:
    busy.hears(hold(1, ("tea", 2), ship_to=PARIS), commit(1), ship(1, ("tea", "leipzig", 1)), release(1))
    assert shipments(busy) == 1


def test_what_leaves_after_all_keeps_its_place(busy: StockRoom) -> None:
    busy.hears(hold(1, ("tea", 2), ship_to=PARIS), commit(1), release(1, ("tea", "leipzig", 1)))
    assert shipments(busy) == 1


# -- what is too large for a decision ----------------------------------------------------------------------------------


@pytest.fixture
def asking() -> StockRoom:
    """Ten warehouses, and decisions that look at one node."""
    room = a_room(work=1)
    for word in a_large_room(room.now):
        room.hears(word)
    return room


def asked_for(number: int = 1) -> HoldStock:
    return hold(number, *LARGE.items(), ship_to=PARIS)


def least(room: StockRoom) -> int:
    """What the order costs at least, as things stand."""
    demand = Demand(
        units=LARGE,
        shelves={sku: [shelf for shelf in room.store.rows(SHELVES) if shelf.sku == sku] for sku in LARGE},
        warehouses={warehouse.code: warehouse for warehouse in room.store.rows(WAREHOUSES)},
        products={product.sku: product for product in room.store.rows(PRODUCTS)},
        to=locate(PARIS),
    )
    found = search(problem_of(demand, priced(demand)), 10**9)
    assert found is not None and found.exact
    return to_minor(found.cost)


def computed(room: StockRoom, seconds: float = 20.0) -> Message:
    """A worker takes the question and computes."""
    (question,) = at_once(room.store.take_open(QUESTIONS, 5))
    return answer(question, seconds)


def states(room: StockRoom) -> list[QuestionState]:
    return [question.state for question in room.store.rows(QUESTIONS)]


def test_an_order_too_large_for_a_decision_waits_for_the_solver_and_is_answered(asking: StockRoom) -> None:
    assert asking.hears(asked_for()) == []
    assert asking.hears(asked_for()) == [], "asked again: the answer is still to come, and the question is there once"
    assert (asking.store.rows(RESERVATIONS), states(asking)) == ([], [QuestionState.OPEN])
    told, cheapest = computed(asking), least(asking)
    said = asking.hears(told)
    held = answer_of(said)
    assert isinstance(held, StockHeld)
    (route,) = asking.store.rows(ROUTES)
    assert route.cost_minor == cheapest
    assert (route.gap_permille, route.note) == (0, "proposed by the solver: optimal")
    assert asking.hears(told) == [], "told twice, it is held once"
    assert asking.hears(asked_for()) == [held], "the answer of the command's key"
    assert states(asking) == [QuestionState.KNOWN]
    asking.check_the_books()


def test_an_order_released_before_the_proposal_arrives_ends_released(asking: StockRoom) -> None:
    asking.hears(asked_for())
    told = computed(asking)
    said = asking.hears(release(1))
    assert said == [StockReleased(order_id=order(1)), CommandWithdrawn()]
    assert asking.hears(told) == []
    assert (asking.store.rows(RESERVATIONS), states(asking)) == ([], [QuestionState.WITHDRAWN])
    assert asking.hears(asked_for()) == [CommandWithdrawn()]
    assert asking.store.due == {}, "nothing rings for it any more"
    asking.check_the_books()


def test_a_proposal_that_fits_no_more_is_asked_anew_and_after_three_the_best_found_is_taken(
    asking: StockRoom,
) -> None:
    """Each time a word comes that a shelf of the proposal cannot ship what it was to give."""
    asking.hears(asked_for())
    banned: dict[str, set[str]] = {sku: set() for sku in LARGE}
    for number in (1, 2, 3):
        assert [question.number for question in asking.store.rows(QUESTIONS)] == list(range(1, number + 1))
        told = computed(asking)
        assert isinstance(told, RouteProposed)
        banned[told.picks[0].sku].add(told.picks[0].warehouse)
        asking.now += timedelta(seconds=1)
        asking.hears(weighs(asking, told.picks[0].sku, 900, *banned[told.picks[0].sku]))
        said = asking.hears(told)
        assert (said == []) is (number < 3)
    held = answer_of(said)
    assert isinstance(held, StockHeld)
    assert not any(pick.warehouse in banned[pick.sku] for pick in held.picks)
    (route,) = asking.store.rows(ROUTES)
    assert route.note == "what was proposed does not fit any more, 3 times: the best of a bounded search"
    assert route.gap_permille > 0
    assert states(asking) == [QuestionState.KNOWN] * 3
    asking.check_the_books()


def test_a_worker_that_dies_is_replaced_and_after_three_the_order_is_routed_without_the_solver(
    asking: StockRoom,
) -> None:
    asking.hears(asked_for())
    asking.passes(31)
    assert states(asking) == [QuestionState.OPEN], "nobody has taken it yet: it waits"
    for tries in (1, 2):
        at_once(asking.store.take_open(QUESTIONS, 1))
        assert asking.passes(29) == []
        assert states(asking) == [QuestionState.CALLING]
        asking.passes(31)
        (question,) = asking.store.rows(QUESTIONS)
        assert (question.state, question.tries) == (QuestionState.OPEN, tries)
    at_once(asking.store.take_open(QUESTIONS, 1))
    asking.passes(31)
    said = asking.passes(0)
    assert isinstance(answer_of(said), StockHeld)
    assert asking.store.rows(ROUTES)[-1].note == "the solver found nothing in its time: the best of a bounded search"
    assert asking.reservation(order(1)).status is ReservationStatus.HELD


def test_a_solver_that_breaks_is_an_unknown_outcome(asking: StockRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no solver today")

    monkeypatch.setattr(effects, "solve", broken)
    asking.hears(asked_for())
    assert isinstance(answer_of(asking.hears(computed(asking))), StockHeld)
    assert asking.store.rows(ROUTES)[-1].note == "the solver found nothing in its time: the best of a bounded search"


def test_a_question_left_by_another_policy_is_routed_by_the_one_in_force(asking: StockRoom) -> None:
    asking.hears(asked_for())
    asking.batches.consumer = make_consumer(RoutingPolicy())
    asking.passes(31)
    assert isinstance(answer_of(asking.passes(0)), StockHeld)
    assert asking.store.rows(ROUTES)[-1].strategy == "priority"


def test_a_stale_ring_does_nothing(asking: StockRoom) -> None:
    assert asking.hears(QuestionOverdue(order_id=order(1), question_id=order(2), hold=asked_for())) == []


def test_a_paid_order_does_not_wait_for_the_solver(asking: StockRoom) -> None:
    """An expired hold taken again at the pivot: the best of the bounded search, and its route says so."""
    asking.hears(asked_for())
    asking.hears(computed(asking))
    asking.passes(901)
    again = commit(1).model_copy(update={"ship_to": PARIS})
    assert isinstance(answer_of(asking.hears(again)), StockCommitted)
    route = asking.store.rows(ROUTES)[-1]
    assert route.note == "the order cannot wait for the solver: the best of a bounded search"
