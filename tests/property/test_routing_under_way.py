"""Whatever comes, in whatever order: counters of the day are what orders booked, an order is answered once, and what
was released stays released, also when the solver speaks late or twice."""

from collections import Counter
from uuid import UUID

from hypothesis import event, given, settings
from hypothesis import strategies as st

from contracts.inventory import StockHeld, StockShort
from contracts.message import Message
from contracts.values import Destination
from services.inventory.domain import ReservationStatus
from services.inventory.effects import answer
from services.inventory.handlers import make_consumer
from services.inventory.routing.rows import QuestionState
from services.inventory.routing.strategy import RoutingPolicy, StrategyName
from services.inventory.tables import BOOKINGS, DISPATCHES, QUESTIONS, RESERVATIONS
from tests.support.routes import LARGE, a_large_room
from tests.support.stock_room import StockRoom, at_once, commit, hold, order, release

PARIS = Destination(country="FR", latitude=48.85, longitude=2.35)
ORDERS = 4
CAPACITY = 2
CONSUMER = make_consumer(RoutingPolicy(strategy=StrategyName.CHEAPEST, work=1))

events = st.tuples(
    st.sampled_from(("hold", "hold", "small", "compute", "tell", "tell again", "release", "commit", "time", "night")),
    st.integers(1, ORDERS),
)


def a_room() -> StockRoom:
    room = StockRoom(CONSUMER)
    for word in a_large_room(room.now):
        more = {"daily_shipments": CAPACITY} if "daily_shipments" in type(word).model_fields else {}
        room.hears(word.model_copy(update=more))
    return room


def check_the_day(room: StockRoom) -> None:
    booked: Counter[str] = Counter()
    days = {dispatch.warehouse: dispatch.day for dispatch in room.store.rows(DISPATCHES)}
    for booking in room.store.rows(BOOKINGS):
        booked.update(code for code in booking.warehouses if days[code] == booking.day)
    for dispatch in room.store.rows(DISPATCHES):
        assert dispatch.shipments == booked[dispatch.warehouse] <= CAPACITY


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(events, min_size=3, max_size=14))
def test_counters_answers_and_releases_hold_under_any_sequence(steps: list[tuple[str, int]]) -> None:
    room = a_room()
    told: list[Message] = []
    answers: dict[UUID, Message] = {}
    released: set[int] = set()
    for what, number in steps:
        match what:
            case "hold":
                said = room.hears(hold(number, *LARGE.items(), ship_to=PARIS))
            case "small":
                said = room.hears(hold(number + ORDERS, ("s0", 1), ship_to=PARIS))
            case "compute":
                told += [answer(question, 5.0) for question in at_once(room.store.take_open(QUESTIONS, 2))]
                said = []
            case "tell":
                said = room.hears(told[number % len(told)]) if told else []
            case "tell again":
                said = room.hears(*told, *told)
            case "release":
                released.add(number)
                said = room.hears(release(number))
            case "commit":
                said = room.hears(commit(number)) if room.store.row(RESERVATIONS, order(number)) else []
            case "night":
                said = room.passes(86_400)
            case _:
                said = room.passes(31)
        for message in said:
            if isinstance(message, StockHeld | StockShort):
                assert answers.setdefault(message.order_id, message) == message, "an order has one answer"
        room.check_the_books()
        check_the_day(room)
        for one in released:
            reservation = room.store.row(RESERVATIONS, order(one))
            assert reservation is None or reservation.status is ReservationStatus.RELEASED
            waiting = (QuestionState.OPEN, QuestionState.CALLING)
            assert not any(q.state in waiting for q in room.store.rows(QUESTIONS) if q.order_id == order(one))
    told += [answer(question, 5.0) for question in at_once(room.store.take_open(QUESTIONS, 20))]
    for _ in range(4):
        room.hears(*told)
        told = [answer(question, 5.0) for question in at_once(room.store.take_open(QUESTIONS, 20))]
    room.passes(86_400)
    assert all(q.state in (QuestionState.KNOWN, QuestionState.WITHDRAWN) for q in room.store.rows(QUESTIONS))
    event(f"{len(room.store.rows(QUESTIONS))} questions")
    check_the_day(room)
    room.check_the_books()
