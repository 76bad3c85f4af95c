"""Stock: held, committed, counted, moved between warehouses, and reported from outside."""

from datetime import timedelta
from typing import Final

from contracts.examples.facts import ATTEMPT, FEED, HOME, LINES, NOON, ORDER, PICKS, RUN, SHIPMENT, SHIPMENT_2, SHORT
from contracts.feeds import (
    ApplyFeedRows,
    DescribeSource,
    FeedMode,
    FeedPulled,
    PullDue,
    Pulled,
    ReportStock,
    SourceSilent,
    StockLine,
)
from contracts.inventory import (
    CommitStock,
    DescribeWarehouse,
    DistanceBand,
    ExtendHold,
    HoldExtended,
    HoldLapsed,
    HoldStock,
    ProposedPick,
    QuestionOverdue,
    ReceiveStock,
    ReleaseStock,
    ReservationExpired,
    RouteProposed,
    ShipStock,
    StockArrived,
    StockCommitted,
    StockGone,
    StockHeld,
    StockReceipt,
    StockReleased,
    StockShort,
    WaitingServed,
)
from contracts.message import Message
from contracts.product import DescribeProduct, Supply
from contracts.shortage import (
    AlternativesOffered,
    AmendShipment,
    AnswerShortage,
    Choice,
    LinesSettled,
    OfferAlternatives,
    OfferLapsed,
    PromisesFound,
    SearchOverdue,
    SettleLines,
    SettleShortage,
    ShelfCameShort,
    ShortageAnswerRefused,
    ShortageSettled,
    StockTakenBack,
    TakeBackStock,
    UnitsKept,
    UnitsShort,
    UnitsWithdrawn,
    WithdrawRefused,
    WithdrawUnits,
)
from contracts.values import Destination, Pick
from contracts.warehousing import (
    ArrivedUnits,
    CancelTransfer,
    CorrectStock,
    CountedUnits,
    CountStock,
    InspectedLine,
    ReceiveTransfer,
    RequestTransfer,
    ReturnStock,
    SendTransfer,
    SetSafetyStock,
    Verdict,
)

HOLD: Final = HoldStock(
    order_id=ORDER,
    lines=LINES,
    hold_for_s=900,
    ship_to=Destination(country="GB", city="London", postal_code="N1 9GU"),
)

MESSAGES: Final[tuple[Message, ...]] = (
    HOLD,
    StockHeld(order_id=ORDER, until=NOON + timedelta(minutes=15), picks=PICKS),
    StockShort(order_id=ORDER, missing=SHORT),
    ExtendHold(order_id=ORDER, hold_for_s=259_200),
    HoldExtended(order_id=ORDER, until=NOON + timedelta(days=3)),
    ReleaseStock(order_id=ORDER, reason="payment_declined"),
    StockReleased(order_id=ORDER),
    CommitStock(order_id=ORDER),
    StockCommitted(order_id=ORDER, picks=PICKS),
    StockArrived(sku="CUP-BLUE"),
    WaitingServed(order_id=ORDER, serving_id=SHIPMENT_2, picks=PICKS[1:]),
    StockGone(order_id=ORDER, missing=SHORT),
    ReservationExpired(order_id=ORDER),
    HoldLapsed(order_id=ORDER),
    ShipStock(order_id=ORDER, fulfillment_id=SHIPMENT, picks=PICKS[:1]),
    ReceiveStock(
        reference="delivery-2026-0007",
        receipts=(StockReceipt(sku="TEA-EARL-GREY", warehouse="north", quantity=500, safety_stock=10),),
    ),
    DescribeWarehouse(
        warehouse="north",
        name="North",
        priority=1,
        latitude=53.48,
        longitude=-2.24,
        shipment_minor=350,
        bands=(DistanceBand(up_to_km=300, minor_per_kg=40), DistanceBand(up_to_km=2_000, minor_per_kg=120)),
        daily_shipments=5_000,
        as_of=NOON,
    ),
    RouteProposed(
        order_id=ORDER,
        question_id=ATTEMPT,
        hold=HOLD,
        outcome="feasible",
        picks=tuple(ProposedPick(**pick.model_dump()) for pick in PICKS),
        gap_permille=12,
    ),
    QuestionOverdue(order_id=ORDER, question_id=ATTEMPT, hold=HOLD),
    DescribeProduct(
        sku="GIFT-TEA", supply=Supply.KIT, weight_g=900, parts={"TEA-EARL-GREY": 2, "CUP-BLUE": 1}, as_of=NOON
    ),
)

WAREHOUSING: Final[tuple[Message, ...]] = (
    ReturnStock(
        order_id=ORDER,
        return_id="return-0001",
        warehouse="north",
        lines=(
            InspectedLine(sku="TEA-EARL-GREY", quantity=1, verdict=Verdict.RESTOCK),
            InspectedLine(sku="CUP-BLUE", quantity=1, verdict=Verdict.DISPOSE),
        ),
        as_of=NOON,
    ),
    CorrectStock(
        reference="correction-0001", sku="CUP-BLUE", warehouse="east", delta=-2, reason="broken in the rack", by="grace"
    ),
    CountStock(
        reference="stock-take-2026-03",
        warehouse="north",
        counts=(CountedUnits(sku="TEA-EARL-GREY", counted=498, expected=500), CountedUnits(sku="CUP-BLUE", counted=7)),
        as_of=NOON,
        by="grace",
    ),
    SetSafetyStock(sku="TEA-EARL-GREY", warehouse="north", units=20, as_of=NOON),
    RequestTransfer(transfer_id="transfer-0001", origin="north", destination="east", lines=LINES, by="grace"),
    SendTransfer(transfer_id="transfer-0001"),
    ReceiveTransfer(
        transfer_id="transfer-0001", differing=(ArrivedUnits(sku="CUP-BLUE", quantity=0),), reason="broken on the way"
    ),
    CancelTransfer(transfer_id="transfer-0001", reason="not needed any more"),
)

FEEDS: Final[tuple[Message, ...]] = (
    DescribeSource(
        source="erp",
        warehouses=("north",),
        stale_after_s=7200,
        buffer=2,
        pull=Pulled(url="https://erp.example.com/stock.csv", every_s=3600),
        as_of=NOON,
    ),
    ReportStock(
        sequence=4711,
        mode=FeedMode.ABSOLUTE,
        lines=(StockLine(sku="TEA-EARL-GREY", warehouse="north", quantity=480),),
        as_of=NOON,
    ),
    ApplyFeedRows(feed_id=FEED, page=3),
    SourceSilent(source="erp"),
    PullDue(source="erp"),
    FeedPulled(source="erp", asked=7, feed_id=FEED),
    ShelfCameShort(sku="TEA-EARL-GREY", warehouse="north", units=2, reference=str(FEED)),
    SearchOverdue(shortage_id=FEED),
    OfferLapsed(shortage_id=RUN),
    PromisesFound(shortage_id=FEED, order_ids=(ORDER,)),
    UnitsShort(
        order_id=ORDER,
        shortage_id=FEED,
        sku="TEA-EARL-GREY",
        warehouse="north",
        quantity=2,
        substitutes=("TEA-ASSAM",),
        later=NOON + timedelta(days=14),
    ),
    UnitsKept(order_id=ORDER, shortage_id=FEED, sku="TEA-EARL-GREY", warehouse="north"),
    WithdrawUnits(order_id=ORDER, warehouse="north", sku="TEA-EARL-GREY", quantity=2),
    UnitsWithdrawn(order_id=ORDER),
    WithdrawRefused(order_id=ORDER, reason="too_late"),
    AmendShipment(fulfillment_id=SHIPMENT, order_id=ORDER, revision=3, picks=PICKS[:1]),
    TakeBackStock(order_id=ORDER, shortage_id=FEED, warehouse="north", sku="TEA-EARL-GREY", quantity=2),
    StockTakenBack(order_id=ORDER),
    OfferAlternatives(
        order_id=ORDER,
        shortage_id=RUN,
        sku="TEA-EARL-GREY",
        quantity=2,
        substitutes=("TEA-ASSAM",),
        later=NOON + timedelta(days=14),
        answer_by=NOON + timedelta(days=2),
    ),
    AlternativesOffered(order_id=ORDER),
    AnswerShortage(order_id=ORDER, shortage_id=RUN, choice=Choice.SUBSTITUTE, substitute="TEA-ASSAM"),
    ShortageAnswerRefused(order_id=ORDER, shortage_id=RUN, reason="already_answered"),
    SettleShortage(
        order_id=ORDER,
        shortage_id=RUN,
        sku="TEA-EARL-GREY",
        warehouse="north",
        quantity=2,
        choice=Choice.SUBSTITUTE,
        substitute="TEA-ASSAM",
        promised_at=NOON + timedelta(days=14),
    ),
    ShortageSettled(
        order_id=ORDER,
        outcome=Choice.SUBSTITUTE,
        picks=(Pick(warehouse="east", sku="TEA-ASSAM", quantity=2),),
    ),
    SettleLines(
        order_id=ORDER,
        shortage_id=RUN,
        sku="TEA-EARL-GREY",
        quantity=2,
        outcome=Choice.SUBSTITUTE,
        substitute="TEA-ASSAM",
        promised_at=NOON + timedelta(days=14),
    ),
    LinesSettled(order_id=ORDER, refund_minor=0, currency="EUR", ship_to=HOME),
)
