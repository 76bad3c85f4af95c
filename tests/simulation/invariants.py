"""What must hold when everything is quiet, whatever went wrong before: stock, money, promises, messages. In one place.

Each check yields sentences about what is broken; none means that it holds.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

from contracts.checkout import CheckoutAccepted, CheckoutRefused, PlaceCheckout, RefundConcluded, RequestRefund
from contracts.frame import MessageRefused
from contracts.order import OrderCancelledEvent, OrderPaymentFailedEvent, OrderShortageSettledEvent
from services.inventory import tables as inventory
from services.inventory.domain import ReservationStatus
from services.orchestrator import tables as sagas
from services.order import tables as orders
from services.order.lifecycle import OrderState, RefundState
from services.payment import tables as payments
from services.payment.attempt import AttemptState
from shared.envelope import content_hash
from shared.topology import SERVICES
from tests.simulation.cluster import Cluster
from tests.simulation.outside import Shop
from tests.simulation.script import UNREADABLE
from tests.simulation.stock import counts_found, lies_there
from tests.support.books import ledger_is_wrong
from tests.support.memory import MemoryStore
from tests.support.payment_play import open_minor


class Scene(Protocol):
    """Whatever has the services' stores: the simulator, and the world of unit tests."""

    @property
    def stores(self) -> Mapping[str, MemoryStore]: ...


Check = Callable[[Cluster], Iterator[str]]
ENDED: Final = (OrderState.CANCELLED, OrderState.COMPLETED)
PUBLIC: Final = "waybill.order."
MOVED: Final = ("captured", "refunded", "taken_back")


def broken(cluster: Cluster) -> list[str]:
    """Every sentence of every check."""
    return [f"{check.__name__}: {sentence}" for check in CHECKS for sentence in check(cluster)]


def broken_now(scene: Scene) -> list[str]:
    """What must hold at any instant, quiet or not."""
    checks = (
        nothing_is_oversold,
        counters_are_movements,
        queues_are_booked,
        the_ledger_says_the_same,
        nothing_is_written_down_twice,
    )
    return [f"{check.__name__}: {sentence}" for check in checks for sentence in check(scene)]


# -- stock -----------------------------------------------------------------------------------------------------------


def nothing_is_oversold(cluster: Scene) -> Iterator[str]:
    for shelf in cluster.stores["inventory"].rows(inventory.SHELVES):
        if min(shelf.on_hand, shelf.held, shelf.allocated, shelf.free + shelf.short) < 0:
            yield f"{shelf}"


def counters_are_movements(cluster: Scene) -> Iterator[str]:
    store = cluster.stores["inventory"]
    sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for move in store.rows(inventory.MOVEMENTS):
        sums[move.sku, move.warehouse].update(
            on_hand=move.on_hand_delta, held=move.held_delta, allocated=move.allocated_delta
        )
    for shelf in store.rows(inventory.SHELVES):
        for name, total in sums[shelf.sku, shelf.warehouse].items():
            if getattr(shelf, name) != total:
                yield f"{shelf} but the movements of {name} add up to {total}"


def shelves_hold_what_was_said(cluster: Cluster) -> Iterator[str]:
    """Not by our movements: by what sources, stock-keepers and warehouses said, what counts found, and what left."""
    found = counts_found(cluster.stores["inventory"], set(cluster.warehouse.shipments))
    said = lies_there(cluster.said, cluster.warehouse.shipments.values(), found)
    shelves = {(shelf.sku, shelf.warehouse): shelf for shelf in cluster.stores["inventory"].rows(inventory.SHELVES)}
    for (sku, warehouse), units in said.items():
        shelf = shelves.pop((sku, warehouse), None)
        if units != (shelf.on_hand if shelf is not None else 0):
            yield f"{shelf}, but {units} {sku} must lie in {warehouse}"
    for shelf in shelves.values():
        if shelf.on_hand:
            yield f"{shelf}, of which nobody ever spoke"


def queues_are_booked(cluster: Scene) -> Iterator[str]:
    """Who waits stands in its queue, and the book of a SKU adds up whoever waits for it."""
    store = cluster.stores["inventory"]
    waiting = {(line.order_id, line.sku): line.quantity for line in store.rows(inventory.WAITING_LINES) if line.queue}
    promised = {
        (row.order_id, wish.sku): wish.quantity
        for row in store.rows(inventory.RESERVATIONS)
        if row.status in (ReservationStatus.HELD, ReservationStatus.COMMITTED)
        for wish in row.later
    }
    if waiting != promised:
        yield f"promised for later are {promised}, and in the queues {waiting}"
    booked: Counter[str] = Counter()
    for (_, sku), units in waiting.items():
        booked[sku] += units
    for book in store.rows(inventory.BACKLOGS):
        if book.units != booked[book.sku]:
            yield f"{book}, and {booked[book.sku]} wait"


def promises_for_later_were_kept(cluster: Cluster) -> Iterator[str]:
    """Everything that may be waited for arrived: nobody waits any more."""
    for line in cluster.stores["inventory"].rows(inventory.WAITING_LINES):
        if line.queue is not None:
            yield f"{line}"


def no_shelf_is_short(cluster: Cluster) -> Iterator[str]:
    """Whatever a count broke was settled with somebody."""
    store = cluster.stores["inventory"]
    for shelf in store.rows(inventory.SHELVES):
        if shelf.short:
            yield f"{shelf}"
    for line in store.rows(inventory.SHORT_LINES):
        if line.shelf is not None:
            yield f"{line}"


def counters_are_reservations(cluster: Cluster) -> Iterator[str]:
    """When it is quiet, nothing is held, and nothing allocated that has not shipped."""
    store = cluster.stores["inventory"]
    for reservation in store.rows(inventory.RESERVATIONS):
        if reservation.status in (ReservationStatus.HELD, ReservationStatus.COMMITTED):
            yield f"{reservation} did not end"
    for shelf in store.rows(inventory.SHELVES):
        if shelf.held or shelf.allocated:
            yield f"{shelf} keeps what no order will take"


def stock_follows_the_order(cluster: Cluster) -> Iterator[str]:
    reserved = {row.order_id: row.status for row in cluster.stores["inventory"].rows(inventory.RESERVATIONS)}
    for order in cluster.stores["order"].rows(orders.ORDERS):
        status = reserved.get(order.id)
        if (order.state is OrderState.CANCELLED) == (status is ReservationStatus.SHIPPED):
            yield f"order {order.id} is {order.state}, its stock {status}"


# -- money -----------------------------------------------------------------------------------------------------------


def money_is_where_the_order_says(cluster: Cluster) -> Iterator[str]:
    """No double charge; a cancelled order keeps nothing; a kept one was paid exactly once and in full."""
    by_order: dict[str, list[dict[str, Any]]] = defaultdict(list)
    ours = {payment.order_id: payment for payment in cluster.stores["payment"].rows(payments.PAYMENTS)}
    for payment in _paid(cluster):
        by_order[payment["reference"]].append(payment)
        if payment["refunded_minor"] > payment["captured_minor"]:
            yield f"refunded more than captured: {payment}"
    for order in cluster.stores["order"].rows(orders.ORDERS):
        made = by_order.pop(str(order.id), [])
        back = sum(one["taken_back_minor"] for one in made)
        kept = [one for one in made if one["captured_minor"] > one["refunded_minor"]]
        if len(kept) > 1 and not ours[order.id].per_shipment:
            yield f"order {order.id} was charged twice: {kept}"
        if any(one["status"] == "pending" or one["open_minor"] for one in made):
            yield f"order {order.id} is {order.state} and its money is not decided: {made}"
        captured = sum(one["captured_minor"] for one in made)
        refunded = sum(one["refunded_minor"] for one in made)
        if order.state is OrderState.CANCELLED and captured != refunded + back:
            yield f"order {order.id} is cancelled and keeps {captured - refunded - back}"
        if order.state is not OrderState.CANCELLED:
            waived = ours[order.id].waived_minor  # refunded before it was taken
            lost = ours[order.id].missing_minor
            if captured != order.total_minor - waived - lost:
                yield f"order {order.id} of {order.total_minor} less {waived} and {lost} was paid {captured}"
            if refunded != order.refunded_minor - waived:
                yield f"order {order.id} says refunded {order.refunded_minor}, the provider {refunded}"
    for reference, made in by_order.items():
        if any(one["captured_minor"] != one["refunded_minor"] or one["open_minor"] for one in made):
            yield f"money without an order {reference}: {made}"


def whose_money_is_gone_is_told(cluster: Cluster) -> Iterator[str]:
    """And nobody else."""
    told = told_of_lost_money(cluster)
    gone = {payment["reference"] for payment in cluster.bank.payments.values() if payment["taken_back_minor"]}
    gone |= {str(row.order_id) for row in cluster.stores["payment"].rows(payments.PAYMENTS) if row.missing_minor}
    if told.keys() != gone:
        yield f"called back or lost were {gone}, and told of it {told}"


def lapsing(shop: Shop) -> set[UUID]:
    """Its orders whose hold the provider lets go."""
    return {UUID(shop.orders[id_]) for id_ in shop.lapses if id_ in shop.orders}


def told_of_lost_money(cluster: Cluster) -> dict[str, str]:
    """By order, the event that said so."""
    return {
        said["order_id"]: type_
        for shop in cluster.shops.values()
        for type_, said in shop.heard
        if type_ == OrderPaymentFailedEvent.full_type
        or (type_ == OrderCancelledEvent.full_type and said["reason"] == "payment_failed")
    }


def _paid(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """What the provider and the bank did."""
    for payment in cluster.provider.books()["payments"]:
        yield {**payment, "taken_back_minor": 0, "open_minor": open_minor(payment)}
    for payment in cluster.bank.payments.values():
        yield {**payment, "open_minor": 0}


def our_books_are_the_providers(cluster: Cluster) -> Iterator[str]:
    books: dict[str, Counter[str]] = defaultdict(Counter)
    for made in _paid(cluster):
        books[made["reference"]].update({name: made[f"{name}_minor"] for name in MOVED})
    for payment in cluster.stores["payment"].rows(payments.PAYMENTS):
        theirs = books[str(payment.order_id)]
        ours = Counter(
            captured=payment.captured_minor, refunded=payment.refunded_minor, taken_back=payment.disputed_minor
        )
        if ours != theirs:
            yield f"{payment} but the provider says {dict(theirs)}"
        if payment.held_minor or payment.call_id:
            yield f"{payment} still holds something"
        if payment.missing_minor and not any(payment.order_id in lapsing(shop) for shop in cluster.shops.values()):
            yield f"{payment} lacks what nobody let go"
        if payment.refund_reserved_minor:
            yield f"{payment} still sets money aside"
    for attempt in cluster.stores["payment"].rows(payments.ATTEMPTS):
        if attempt.state not in (AttemptState.KNOWN, AttemptState.WITHDRAWN):
            yield f"{attempt} did not end"


def the_ledger_says_the_same(cluster: Scene) -> Iterator[str]:
    yield from ledger_is_wrong(cluster.stores["payment"])


def refunds_add_up(cluster: Cluster) -> Iterator[str]:
    store = cluster.stores["order"]
    settled: Counter[Any] = Counter()
    for refund in store.rows(orders.REFUNDS):
        if refund.state is RefundState.OPENED:
            yield f"{refund} did not end"
        elif refund.state is RefundState.SETTLED:
            settled[refund.order_id] += refund.amount_minor
    concluded: Counter[str] = Counter()
    for shop in cluster.shops.values():
        told = {said["refund_id"]: said for type_, said in shop.heard if type_ == RefundConcluded.full_type}
        for said in told.values():
            if said["refunded"]:
                concluded[said["order_id"]] += said["amount"]["amount_minor"]
        for type_, said in shop.heard:
            if type_ == OrderShortageSettledEvent.full_type:
                concluded[said["order_id"]] += int(said["detail"].get("refund_minor", 0))
    for order in store.rows(orders.ORDERS):
        if not order.refunded_minor == settled[order.id] == concluded[str(order.id)] <= order.total_minor:
            yield f"order {order.id}: {order.refunded_minor}, {settled[order.id]}, {concluded[str(order.id)]}"


# -- promises --------------------------------------------------------------------------------------------------------


def every_order_ended(cluster: Cluster) -> Iterator[str]:
    for order in cluster.stores["order"].rows(orders.ORDERS):
        if order.state not in ENDED:
            yield f"order {order.id} is still {order.state}"
    for run in cluster.stores["orchestrator"].rows(sagas.RUNS):
        if run.changing is not None:
            yield f"{run.saga} {run.id} of order {run.order_id} still waits for {run.pending}"


def every_request_was_answered(cluster: Cluster) -> Iterator[str]:
    for shop in cluster.shops.values():
        told = Counter((type_, said.get("checkout_id") or said.get("refund_id")) for type_, said in shop.heard)
        reasons = {
            (said["checkout_id"], said["reason"]) for type_, said in shop.heard if type_ == CheckoutRefused.full_type
        }
        contents: dict[str, set[str]] = defaultdict(set)
        for message in shop.asked:
            if isinstance(message, PlaceCheckout) and message.checkout_id.startswith(UNREADABLE):
                refused = [said["reason"] for type_, said in shop.heard if type_ == MessageRefused.full_type]
                if "malformed_json" not in refused:
                    yield f"{shop.name} was never told that {message.checkout_id} could not be read"
            elif isinstance(message, PlaceCheckout):
                id_ = message.checkout_id
                contents[id_].add(content_hash(message))
                if not told[CheckoutAccepted.full_type, id_] + told[CheckoutRefused.full_type, id_]:
                    yield f"{shop.name} never heard of checkout {id_}"
            elif isinstance(message, RequestRefund) and not told[RefundConcluded.full_type, message.refund_id]:
                yield f"{shop.name} never heard of refund {message.refund_id}"
        for id_, hashes in contents.items():
            if (len(hashes) > 1) != ((id_, "key_reused") in reasons):
                yield f"{shop.name}: checkout {id_} had {len(hashes)} contents, and was told {reasons}"
        for id_, order_id in shop.orders.items():
            ended = any(
                type_ in (f"{PUBLIC}confirmed.v1", f"{PUBLIC}cancelled.v1") and said["order_id"] == order_id
                for type_, said in shop.heard
            )
            if not ended and not told[CheckoutRefused.full_type, id_]:
                yield f"{shop.name} never heard how order {order_id} ended"


def sequences_are_gapless(cluster: Cluster) -> Iterator[str]:
    heard: dict[str, list[int]] = defaultdict(list)
    for shop in cluster.shops.values():
        for type_, said in shop.heard:
            if type_.startswith(PUBLIC):
                heard[said["order_id"]].append(said["sequence"])
    lines: dict[Any, list[int]] = defaultdict(list)
    for line in cluster.stores["order"].rows(orders.EVENTS):
        lines[line.order_id].append(line.sequence)
    for order in cluster.stores["order"].rows(orders.ORDERS):
        if sorted(heard[str(order.id)]) != list(range(1, order.last_public_sequence + 1)):
            yield f"order {order.id}: events {sorted(heard[str(order.id)])} of {order.last_public_sequence}"
        if sorted(lines[order.id]) != list(range(1, order.last_sequence + 1)):
            yield f"order {order.id}: story {sorted(lines[order.id])} of {order.last_sequence}"


def nothing_is_written_down_twice(cluster: Scene) -> Iterator[str]:
    """A message heard again leaves no second line in a story and moves no unit a second time."""
    lines = Counter((line.order_id, line.name, line.message_id) for line in cluster.stores["order"].rows(orders.EVENTS))
    moves = Counter(
        (move.sku, move.warehouse, move.kind, move.order_id, move.message_id)
        for move in cluster.stores["inventory"].rows(inventory.MOVEMENTS)
    )
    for what, times in (*lines.items(), *moves.items()):
        if times > 1:
            yield f"{times} times: {what}"


# -- messages --------------------------------------------------------------------------------------------------------


def nothing_is_left_over(cluster: Cluster) -> Iterator[str]:
    for name, store in cluster.stores.items():
        yield from (f"{name}: {sentence}" for sentence in _left_in(store))
    for queue, deliveries in cluster.broker.ready.items():
        if deliveries:
            yield f"{queue} still has {len(deliveries)} messages"


def _left_in(store: MemoryStore) -> Iterator[str]:
    for row in store.parked.values():
        if row.reason == "malformed_json" and row.head["id"].startswith("broken-"):
            continue  # said so on purpose
        yield f"parked {row.head.get('type')}: {row.reason}: {row.error}"
    for due in store.due.values():
        yield f"still due: {due.head.get('type')} {due.name} {due.owner}"
    if store.outbox:
        yield f"{len(store.outbox)} messages were never said"
    if store.locks:
        yield f"locks are held: {list(store.locks)}"
    for claim, heard in store.inbox.items():
        if heard.state == "waiting" or (heard.state == "trying" and claim[0] in SERVICES):
            yield f"{claim} is still {heard.state}"


CHECKS: Final[tuple[Check, ...]] = (
    nothing_is_oversold,
    counters_are_movements,
    queues_are_booked,
    promises_for_later_were_kept,
    no_shelf_is_short,
    counters_are_reservations,
    shelves_hold_what_was_said,
    stock_follows_the_order,
    money_is_where_the_order_says,
    whose_money_is_gone_is_told,
    our_books_are_the_providers,
    the_ledger_says_the_same,
    refunds_add_up,
    every_order_ended,
    every_request_was_answered,
    sequences_are_gapless,
    nothing_is_written_down_twice,
    nothing_is_left_over,
)
