"""Shortage: units that were promised do not lie there after all. The customer is offered what can be done instead, with
a deadline, and silence means the money back.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.checkout import STOREFRONT_REQUESTS
from contracts.message import Command, Event, Fact, Local, Reply, Request
from contracts.values import Address, Currency, Instant, Minor, Pick, Reference, Sku, Units, WarehouseCode


class Choice(StrEnum):
    """What is done about units that are not there."""

    SUBSTITUTE = "substitute"
    WAIT = "wait"
    REFUND = "refund"


# -- between the services --------------------------------------------------------------------------------------------


class ShelfCameShort(Local, topic="inventory.shelf_came_short", heard_by="inventory"):
    """So many more units than before are promised from a shelf and do not lie there. `reference` names the count."""

    sku: Sku
    warehouse: WarehouseCode
    units: Annotated[int, Field(ge=1)]
    reference: Reference


class PromisesFound(Local, topic="inventory.promises_found", heard_by="inventory"):
    """Orders that were promised units of a shelf that came short, in the order in which the rule would take them."""

    shortage_id: UUID
    order_ids: Annotated[tuple[UUID, ...], Field(max_length=500)]


class SearchOverdue(Local, topic="inventory.search_overdue", heard_by="inventory"):
    """The timer of a search rang: whoever searched may have died."""

    shortage_id: UUID


class OfferLapsed(Local, topic="saga.offer_lapsed", heard_by="orchestrator"):
    """The customer has said nothing in time."""

    shortage_id: UUID


class UnitsShort(Fact, topic="inventory.units_short", heard_by="orchestrator"):
    """An order will not get these units: something else must be found for it."""

    order_id: UUID
    shortage_id: UUID
    sku: Sku
    warehouse: WarehouseCode
    quantity: Units
    substitutes: tuple[Sku, ...] = ()
    later: Instant
    """By when they could be there, if the customer waits."""


class UnitsKept(Fact, topic="inventory.units_kept", heard_by="inventory"):
    """They had left already: somebody else must be asked."""

    order_id: UUID
    shortage_id: UUID
    sku: Sku
    warehouse: WarehouseCode


class WithdrawUnits(Command, topic="fulfillment.withdraw_units", heard_by="fulfillment"):
    """Take units out of shipments that are not packed up yet."""

    order_id: UUID
    warehouse: WarehouseCode
    sku: Sku
    quantity: Units


class UnitsWithdrawn(Reply, topic="fulfillment.units_withdrawn"):
    order_id: UUID


class WithdrawRefused(Reply, topic="fulfillment.withdraw_refused"):
    """``too_late``: they are in a labeled parcel, or gone."""

    order_id: UUID
    reason: Reference


class AmendShipment(Command, topic="warehouse.amend_shipment", heard_by="warehouse.orders"):
    """To a warehouse: of this shipment only `picks` are to be sent; none at all: it is called off. The highest
    `revision` counts."""

    fulfillment_id: UUID
    order_id: UUID
    revision: Annotated[int, Field(ge=1)]
    picks: tuple[Pick, ...]


class TakeBackStock(Command, topic="inventory.take_back_stock", heard_by="inventory"):
    """These units are promised to the order no longer."""

    order_id: UUID
    shortage_id: UUID
    warehouse: WarehouseCode
    sku: Sku
    quantity: Units


class StockTakenBack(Reply, topic="inventory.stock_taken_back"):
    order_id: UUID


class OfferAlternatives(Command, topic="order.offer_alternatives", heard_by="order"):
    """Tell the customer what is short and what can be done, until `answer_by`."""

    order_id: UUID
    shortage_id: UUID
    sku: Sku
    quantity: Units
    substitutes: tuple[Sku, ...] = ()
    later: Instant
    answer_by: Instant


class AlternativesOffered(Reply, topic="order.alternatives_offered"):
    order_id: UUID


class SettleShortage(Command, topic="inventory.settle_shortage", heard_by="inventory"):
    """Do with the units what was chosen; a substitute that is not there either means the money back."""

    order_id: UUID
    shortage_id: UUID
    sku: Sku
    warehouse: WarehouseCode
    """Where they were short: the same SKU may be short elsewhere too."""
    quantity: Units
    choice: Choice
    substitute: Sku | None = None
    promised_at: Instant


class ShortageSettled(Reply, topic="inventory.shortage_settled"):
    """`outcome` is what was done, which may be less than what was chosen."""

    order_id: UUID
    outcome: Choice
    picks: tuple[Pick, ...] = ()


class SettleLines(Command, topic="order.settle_lines", heard_by="order"):
    """Write down what became of the short units, and set aside the money of those that will not come."""

    order_id: UUID
    shortage_id: UUID
    sku: Sku
    quantity: Units
    outcome: Choice
    substitute: Sku | None = None
    promised_at: Instant


class LinesSettled(Reply, topic="order.lines_settled"):
    """`refund_minor` is to go back, under the shortage's id; zero if nothing is."""

    order_id: UUID
    refund_minor: Minor
    currency: Currency
    ship_to: Address
    """Where a substitute goes."""


# -- with the storefront ---------------------------------------------------------------------------------------------


class AnswerShortage(Request, topic="checkout.answer_shortage", heard_by=STOREFRONT_REQUESTS):
    """The customer's choice. `shortage_id` is the idempotency key: the first answer counts, the same one again changes
    nothing."""

    order_id: UUID
    shortage_id: UUID
    choice: Choice
    substitute: Sku | None = None
    """Which of the offered ones; needed to choose a substitute."""


class ShortageAnswerRefused(Event, topic="checkout.shortage_answer_refused"):
    """The answer changes nothing: unknown_shortage, already_answered, substitute_not_offered,
    payment_failed, order_busy."""

    order_id: UUID
    shortage_id: UUID
    reason: Reference
