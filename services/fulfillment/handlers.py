"""What fulfillment hears: a saga asks for shipments, a warehouse reports how one of them stands."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated

from contracts.frame import MessageRefused
from contracts.fulfillment import (
    WAREHOUSE_REPORTS,
    FulfillmentProgressed,
    FulfillmentRequested,
    OrderShipment,
    ReportShipment,
    RequestFulfillment,
    ShipmentsStopped,
    StopShipments,
)
from contracts.inventory import ShipStock
from contracts.shortage import AmendShipment, UnitsWithdrawn, WithdrawRefused, WithdrawUnits
from contracts.story import StoryFact
from contracts.values import FulfillmentStatus, Pick
from services.fulfillment.domain import (
    Effect,
    Followed,
    Fulfillment,
    FulfillmentEvent,
    Verdict,
    by_warehouse,
    called_off,
    follow,
    without,
)
from services.fulfillment.tables import FULFILLMENTS
from shared.consumer import Ask, Consumer, Moment, NotYet, Publish, Said
from shared.table import Need
from shared.working_set import Rows

consumer = Consumer("fulfillment", queues=("fulfillment", WAREHOUSE_REPORTS), outside=frozenset({WAREHOUSE_REPORTS}))


@consumer.hears(RequestFulfillment, needs=lambda command: [])
def request_fulfillment(
    command: RequestFulfillment, rows: Rows, moment: Moment
) -> Annotated[list[Said], FulfillmentRequested, OrderShipment]:
    """One shipment per warehouse of the picks, ordered there; the frame says the same answer to the same command."""
    said: list[Said] = []
    created: list[Fulfillment] = []
    for warehouse, picks in by_warehouse(command.picks).items():
        shipment = Fulfillment(
            id=moment.new_id(),
            order_id=command.order_id,
            warehouse=warehouse,
            ship_to=command.ship_to.model_dump(mode="json"),
            picks=[pick.model_dump(mode="json") for pick in picks],
        )
        rows.put(shipment)
        rows.put(
            FulfillmentEvent(
                fulfillment_id=shipment.id,
                version=1,
                verdict=Verdict.MOVED,
                origin="",
                state=shipment.state,
                reported=shipment.state,
                report_id="",
                source=moment.source,
                occurred_at=moment.now,
            )
        )
        created.append(shipment)
        order = OrderShipment(
            fulfillment_id=shipment.id,
            order_id=command.order_id,
            warehouse=warehouse,
            ship_to=command.ship_to,
            picks=picks,
            kits={sku: parts for sku, parts in command.kits.items() if any(pick.sku == sku for pick in picks)},
        )
        said.append(Ask(order, key=f"fulfillment/{shipment.id}/ship/do"))
    return [FulfillmentRequested(order_id=command.order_id, fulfillment_ids=tuple(row.id for row in created)), *said]


@consumer.hears(ReportShipment, needs=lambda report: [Need.of(FULFILLMENTS, "id", report.fulfillment_id)])
def report_shipment(
    report: ReportShipment, rows: Rows, moment: Moment
) -> Annotated[list[Said], FulfillmentProgressed, ShipStock, StoryFact, MessageRefused]:
    """Follow the warehouse's word along the machine; what cannot be true is kept and told, never raised."""
    shipment = rows.get(FULFILLMENTS, report.fulfillment_id)
    if shipment is None:
        raise NotYet("unknown_fulfillment", otherwise=[_refusal(report, moment)])
    followed = follow(shipment, report)
    if followed is None:
        return []
    origin = shipment
    for step in followed.steps:
        rows.put(step)
        rows.put(
            FulfillmentEvent(
                fulfillment_id=step.id,
                version=step.version,
                verdict=followed.verdict,
                origin=origin.state.value,
                state=step.state,
                reported=report.status,
                report_id=report.report_id,
                source=moment.source,
                occurred_at=report.occurred_at,
            )
        )
        origin = step
    return _told(followed, report, moment)


@consumer.hears(WithdrawUnits, needs=lambda command: [Need.of(FULFILLMENTS, "order_id", command.order_id)])
def withdraw_units(
    command: WithdrawUnits, rows: Rows, moment: Moment
) -> Annotated[list[Said], UnitsWithdrawn, WithdrawRefused, AmendShipment, FulfillmentProgressed]:
    """Take units that are not there out of shipments that are still open, all of them or none; tell the warehouse."""
    shipments = rows.where(FULFILLMENTS, "order_id", command.order_id)
    if not shipments:
        raise NotYet("unknown_order: no shipment of it was ever asked for")
    changed = without(shipments, command.warehouse, command.sku, command.quantity)
    if changed is None:
        return [WithdrawRefused(order_id=command.order_id, reason="too_late")]
    return [UnitsWithdrawn(order_id=command.order_id), *_amended(changed, shipments, rows, moment)]


@consumer.hears(StopShipments, needs=lambda command: [Need.of(FULFILLMENTS, "order_id", command.order_id)])
def stop_shipments(
    command: StopShipments, rows: Rows, moment: Moment
) -> Annotated[list[Said], ShipmentsStopped, AmendShipment, FulfillmentProgressed]:
    """Call off what is still open. An order that only waits for stock has no shipment yet, and then nothing leaves."""
    shipments = rows.where(FULFILLMENTS, "order_id", command.order_id)
    stopped, kept = called_off(shipments)
    return [ShipmentsStopped(order_id=command.order_id, kept=kept), *_amended(stopped, shipments, rows, moment)]


def _amended(
    changed: Iterable[Fulfillment], before: Iterable[Fulfillment], rows: Rows, moment: Moment
) -> Iterator[Said]:
    """Keep shipments that have less in them, or nothing; tell each one's warehouse and the order."""
    origins = {row.id: row.state.value for row in before}
    for shipment in changed:
        version = shipment.version + 1
        rows.put(shipment)
        rows.put(
            FulfillmentEvent(
                fulfillment_id=shipment.id,
                version=version,
                verdict=Verdict.AMENDED,
                origin=origins[shipment.id],
                state=shipment.state,
                reported=shipment.state,
                report_id="",
                source=moment.source,
                occurred_at=moment.now,
            )
        )
        is_off = shipment.state is FulfillmentStatus.CANCELLED
        picks = () if is_off else tuple(Pick.model_validate(pick) for pick in shipment.picks)
        amended = AmendShipment(
            fulfillment_id=shipment.id,
            order_id=shipment.order_id,
            revision=version,
            picks=picks,
        )
        yield Ask(amended, key=f"fulfillment/{shipment.id}/amend-{version}/do")
        yield _progressed(shipment, picks, moment.now)


def _told(followed: Followed, report: ReportShipment, moment: Moment) -> list[Said]:
    shipment = followed.steps[-1]
    picks = tuple(Pick.model_validate(pick) for pick in shipment.picks) if followed.effects else ()
    said: list[Said] = []
    if Effect.TELL_ORDER in followed.effects:
        said.append(_progressed(shipment, picks, report.occurred_at))
    if Effect.SHIP_STOCK in followed.effects:
        said.append(ShipStock(order_id=shipment.order_id, fulfillment_id=shipment.id, picks=picks))
    if followed.verdict is Verdict.CONTRADICTED:
        said.append(
            StoryFact(
                order_id=shipment.order_id,
                name="fulfillment.report_contradicted",
                actor=moment.source or shipment.warehouse,
                occurred_at=report.occurred_at,
                reason=f"{report.status} was reported of a shipment that is {shipment.state}",
                detail={"fulfillment_id": str(shipment.id), "report_id": report.report_id},
            )
        )
    return said


def _progressed(shipment: Fulfillment, picks: tuple[Pick, ...], at: datetime) -> FulfillmentProgressed:
    return FulfillmentProgressed(
        order_id=shipment.order_id,
        fulfillment_id=shipment.id,
        warehouse=shipment.warehouse,
        status=shipment.state,
        picks=picks,
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        occurred_at=at,
    )


def _refusal(report: ReportShipment, moment: Moment) -> Publish:
    return Publish(
        moment.source,
        MessageRefused(
            message_id=moment.message_id[:200],
            message_type=report.full_type,
            reason="unknown_fulfillment",
            detail=f"no shipment {report.fulfillment_id} was ever ordered",
        ),
    )
