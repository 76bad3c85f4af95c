"""One realistic instance of every message: order 0192…0001, two lines over two warehouses, paid by card, delivered."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.checkout import (
    CheckoutAccepted,
    CheckoutLine,
    CheckoutRefused,
    PaymentToken,
    PlaceCheckout,
    ProvidePayment,
    RefundConcluded,
    ReplayOrderEvents,
    RequestRefund,
)
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
from contracts.frame import CommandWithdrawn, KeyReused, MessageRefused
from contracts.fulfillment import (
    FulfillmentProgressed,
    FulfillmentRequested,
    OrderShipment,
    ReportShipment,
    RequestFulfillment,
    ShipmentsStopped,
    StopShipments,
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
from contracts.order import (
    AbandonRefund,
    CancelOrder,
    CancelRefused,
    CancelUnsent,
    ConfirmOrder,
    LinesReserved,
    OpenRefund,
    OrderCancelled,
    OrderCancelledEvent,
    OrderCompletedEvent,
    OrderConfirmed,
    OrderConfirmedEvent,
    OrderDeliveredEvent,
    OrderEvent,
    OrderFulfilledEvent,
    OrderLine,
    OrderPartiallyFulfilledEvent,
    OrderPaymentFailedEvent,
    OrderPaymentPendingEvent,
    OrderPlaced,
    OrderProcessingEvent,
    OrderRefundedEvent,
    OrderRefused,
    OrderReturnedEvent,
    OrderShippedEvent,
    OrderShortageEvent,
    OrderShortageSettledEvent,
    OrderStockArrivedEvent,
    PaymentAwaited,
    PlaceOrder,
    RefundAbandoned,
    RefundOpened,
    RefundRefused,
    RefundSettled,
    ReserveLines,
    ReturnWindowPassed,
    SettleRefund,
    UnsentCancelled,
)
from contracts.payment import (
    AttemptOverdue,
    AuthorizePayment,
    CaptureDue,
    DisputeOutcome,
    HoldLapsing,
    PaymentAuthorized,
    PaymentDeclined,
    PaymentFailed,
    PaymentPending,
    PaymentRefunded,
    PaymentRefundRefused,
    PaymentReleased,
    ProviderAnswered,
    ProviderDisputed,
    ProviderNotified,
    ReceiveWebhook,
    RefundPayment,
    RefundPending,
    ReleasePayment,
    ReleasePending,
    StillPending,
)
from contracts.product import DescribeProduct, Supply
from contracts.saga import OperateRun, RunOverdue
from contracts.settlement import AcceptDifference, MatchSettlement, NoteUnsettled
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
from contracts.statement import AssignEntry, BookedEntry, BookStatement, DismissEntry, SendBackEntry
from contracts.story import StoryFact
from contracts.values import (
    Address,
    Customer,
    Destination,
    FulfillmentStatus,
    Money,
    Pick,
    ShippingAddress,
    SkuQuantity,
)
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

NOON: Final = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
ORDER: Final = UUID("0195567a-2b00-7000-8000-000000000001")
REFUND: Final = UUID("0195567a-2b00-7000-8000-000000000002")
SHIPMENT: Final = UUID("0195567a-2b00-7000-8000-000000000003")
SHIPMENT_2: Final = UUID("0195567a-2b00-7000-8000-000000000004")
ATTEMPT: Final = UUID("0195567a-2b00-7000-8000-000000000005")
RUN: Final = UUID("0195567a-2b00-7000-8000-000000000006")
ENTRY: Final = UUID("5e0a9c60-7a4f-5d5c-9a53-2f2f6f0b1c11")
FEED: Final = UUID("0195567a-2b00-7000-8000-000000000007")
REQUEST_ID: Final = "7b1c3f0e-5a39-4c8e-9d0b-2f6f3d1a9e77"
CHECKOUT: Final = "cart-20260302-0815"
STOREFRONT: Final = "demo-shop"
TRACKING: Final = "SP000000004711"

ADA: Final = Customer(reference="customer-1815", email="ada@example.com")
HOME: Final = Address(
    name="Ada Lovelace", line1="12 Analytical Row", city="London", postal_code="N1 9GU", region="", country="GB"
)
TOKEN: Final = PaymentToken(method="card", token="tok_ok")
PICKS: Final = (
    Pick(warehouse="north", sku="TEA-EARL-GREY", quantity=2),
    Pick(warehouse="east", sku="CUP-BLUE", quantity=1),
)
LINES: Final = (SkuQuantity(sku="TEA-EARL-GREY", quantity=2), SkuQuantity(sku="CUP-BLUE", quantity=1))
SHORT: Final = (SkuQuantity(sku="CUP-BLUE", quantity=1),)


def _eur(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="EUR")


def _event(
    type_: type[OrderEvent], sequence: int, state: str, *, refunded_minor: int = 0, reason: str = "", **detail: str
) -> OrderEvent:
    return type_(
        order_id=ORDER,
        checkout_id=CHECKOUT,
        sequence=sequence,
        state=state,
        refund_standing="partially_refunded" if refunded_minor else "not_refunded",
        occurred_at=NOON + timedelta(minutes=sequence),
        currency="EUR",
        total_minor=3390,
        refunded_minor=refunded_minor,
        reason=reason,
        detail=detail,
    )


_FROM_STOREFRONTS: tuple[Message, ...] = (
    PlaceCheckout(
        checkout_id=CHECKOUT,
        customer=ADA,
        shipping_address=ShippingAddress(**HOME.model_dump(), latitude=51.5362, longitude=-0.1033),
        lines=(
            CheckoutLine(sku="TEA-EARL-GREY", quantity=2, unit_price=_eur(895)),
            CheckoutLine(sku="CUP-BLUE", quantity=1, unit_price=_eur(1250)),
        ),
        discount=_eur(200),
        tax=_eur(0),
        shipping=_eur(550),
        shipping_tax=_eur(0),
        total=_eur(3390),
        payment=TOKEN,
    ),
    ProvidePayment(checkout_id=CHECKOUT, payment=TOKEN),
    RequestRefund(refund_id="refund-0001", order_id=ORDER, amount=_eur(1250), reason="the cup arrived broken"),
    ReplayOrderEvents(order_id=ORDER, after_sequence=2),
)
_TO_STOREFRONTS: tuple[Message, ...] = (
    CheckoutAccepted(checkout_id=CHECKOUT, order_id=ORDER),
    CheckoutRefused(
        checkout_id=CHECKOUT, reason="totals_do_not_add_up", detail="the parts add up to 3390, the total says 3400"
    ),
    RefundConcluded(refund_id="refund-0001", order_id=ORDER, refunded=True, amount=_eur(1250)),
    MessageRefused(
        message_id=REQUEST_ID,
        message_type=PlaceCheckout.full_type,
        reason="wrong_schema",
        detail="lines.0.quantity: Input should be greater than or equal to 1",
    ),
    _event(OrderPaymentPendingEvent, 2, "payment_pending"),
    _event(OrderConfirmedEvent, 3, "paid"),
    _event(OrderCancelledEvent, 3, "cancelled", reason="payment_declined"),
    _event(OrderProcessingEvent, 4, "processing"),
    _event(
        OrderShortageEvent,
        5,
        "processing",
        shortage_id=str(RUN),
        sku="TEA-EARL-GREY",
        quantity="2",
        substitutes="TEA-ASSAM",
        later="2026-03-16T12:00:00+00:00",
        answer_by="2026-03-04T12:00:00+00:00",
    ),
    _event(
        OrderShortageSettledEvent,
        6,
        "processing",
        shortage_id=str(RUN),
        outcome="substitute",
        sku="TEA-EARL-GREY",
        quantity="2",
        substitute="TEA-ASSAM",
    ),
    _event(
        OrderPaymentFailedEvent,
        6,
        "partially_fulfilled",
        reason="transfer_returned",
        missing_minor="3390",
        currency="EUR",
        cancelled="CUP-BLUE: 1",
    ),
    _event(OrderStockArrivedEvent, 5, "processing", CUPS="1"),
    _event(OrderPartiallyFulfilledEvent, 5, "partially_fulfilled"),
    _event(OrderFulfilledEvent, 6, "fulfilled"),
    _event(OrderShippedEvent, 7, "shipped", carrier="Sandbox Parcel", tracking_number=TRACKING),
    _event(OrderDeliveredEvent, 8, "delivered"),
    _event(OrderCompletedEvent, 9, "completed"),
    _event(OrderReturnedEvent, 10, "returned"),
    _event(OrderRefundedEvent, 9, "delivered", refunded_minor=1250, reason="the cup arrived broken"),
)
_WAREHOUSES: tuple[Message, ...] = (
    OrderShipment(fulfillment_id=SHIPMENT, order_id=ORDER, warehouse="north", ship_to=HOME, picks=PICKS[:1]),
    ReportShipment(
        report_id=f"{SHIPMENT}/shipped",
        fulfillment_id=SHIPMENT,
        status=FulfillmentStatus.SHIPPED,
        carrier="Sandbox Parcel",
        tracking_number=TRACKING,
        occurred_at=NOON,
    ),
)
_ORDER: tuple[Message, ...] = (
    PlaceOrder(
        order_id=ORDER,
        storefront=STOREFRONT,
        checkout_id=CHECKOUT,
        customer=ADA,
        shipping_address=HOME,
        currency="EUR",
        lines=(
            OrderLine(sku="TEA-EARL-GREY", quantity=2, unit_price_minor=895),
            OrderLine(sku="CUP-BLUE", quantity=1, unit_price_minor=1250),
        ),
        discount_minor=200,
        shipping_minor=550,
        total_minor=3390,
    ),
    OrderPlaced(order_id=ORDER),
    OrderRefused(order_id=ORDER, reason="order_exists"),
    CancelOrder(order_id=ORDER, reason="stock_short"),
    OrderCancelled(order_id=ORDER),
    CancelRefused(order_id=ORDER, reason="too_late"),
    CancelUnsent(order_id=ORDER, reason="transfer_returned", missing_minor=3390, currency="EUR", kept=PICKS[:1]),
    UnsentCancelled(order_id=ORDER),
    ConfirmOrder(order_id=ORDER),
    OrderConfirmed(order_id=ORDER),
    ReserveLines(order_id=ORDER, picks=PICKS[1:]),
    LinesReserved(order_id=ORDER, ship_to=HOME),
    PaymentAwaited(order_id=ORDER),
    ReturnWindowPassed(order_id=ORDER),
    OpenRefund(
        order_id=ORDER,
        refund_id=REFUND,
        storefront=STOREFRONT,
        amount_minor=1250,
        currency="EUR",
        reason="the cup arrived broken",
    ),
    RefundOpened(order_id=ORDER, refund_id=REFUND),
    RefundRefused(order_id=ORDER, refund_id=REFUND, reason="above_refundable"),
    AbandonRefund(order_id=ORDER, refund_id=REFUND, reason="refused_by_provider"),
    RefundAbandoned(order_id=ORDER, refund_id=REFUND),
    SettleRefund(order_id=ORDER, refund_id=REFUND),
    RefundSettled(order_id=ORDER, refund_id=REFUND),
    StoryFact(
        order_id=ORDER,
        name="payment.captured",
        actor="payment",
        occurred_at=NOON,
        detail={"amount_minor": "3390", "currency": "EUR"},
    ),
    FulfillmentProgressed(
        order_id=ORDER,
        fulfillment_id=SHIPMENT,
        warehouse="north",
        status=FulfillmentStatus.SHIPPED,
        picks=PICKS[:1],
        carrier="Sandbox Parcel",
        tracking_number=TRACKING,
        occurred_at=NOON,
    ),
)
HOLD: Final = HoldStock(
    order_id=ORDER,
    lines=LINES,
    hold_for_s=900,
    ship_to=Destination(country="GB", city="London", postal_code="N1 9GU"),
)
_INVENTORY: tuple[Message, ...] = (
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
_WAREHOUSING: tuple[Message, ...] = (
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
_PAYMENT: tuple[Message, ...] = (
    AuthorizePayment(order_id=ORDER, amount_minor=3390, currency="EUR", method="card", token="tok_ok"),
    PaymentAuthorized(order_id=ORDER, captured=True),
    PaymentDeclined(order_id=ORDER, reason="insufficient_funds"),
    PaymentPending(order_id=ORDER, wait_s=259_200),
    ReleasePayment(order_id=ORDER, reason="stock_gone"),
    PaymentReleased(order_id=ORDER),
    ReleasePending(order_id=ORDER, wait_s=432_000),
    PaymentFailed(order_id=ORDER, missing_minor=3390, currency="EUR", reason="transfer_returned"),
    RefundPayment(order_id=ORDER, refund_id=REFUND, amount_minor=1250, currency="EUR"),
    PaymentRefunded(order_id=ORDER, refund_id=REFUND),
    PaymentRefundRefused(order_id=ORDER, refund_id=REFUND, reason="above_captured"),
    RefundPending(order_id=ORDER, refund_id=REFUND, wait_s=432_000),
    ProviderAnswered(order_id=ORDER, attempt_id=ATTEMPT, outcome="captured", provider_payment_id="pay_4711"),
    CaptureDue(order_id=ORDER, due_minor=1999, currency="EUR"),
    HoldLapsing(order_id=ORDER),
    StillPending(order_id=ORDER, looks=1),
    ReceiveWebhook(
        provider="stripe",
        headers={"stripe-signature": "t=1767268800,v1=0f"},
        body_base64="eyJpZCI6ICJldnRfMSJ9",
        received_at=NOON,
    ),
    ProviderDisputed(
        notice_id="evt_0198",
        provider="stripe",
        provider_payment_id="pi_0198",
        dispute_id="dp_0198",
        amount_minor=1250,
        currency="EUR",
        outcome=DisputeOutcome.OPEN,
        reason="fraudulent",
    ),
    ProviderNotified(
        order_id=ORDER,
        attempt_id=ATTEMPT,
        notice_id="evt_0815",
        status="captured",
        provider_payment_id="pay_4711",
        captured_minor=3390,
    ),
    AttemptOverdue(order_id=ORDER, attempt_id=ATTEMPT),
    MatchSettlement(settlement_id=ATTEMPT, page=0),
    NoteUnsettled(provider="sandbox", transfer_ids=(ATTEMPT,)),
    AcceptDifference(difference_id=ATTEMPT, by="grace"),
)
_FULFILLMENT: tuple[Message, ...] = (
    RequestFulfillment(order_id=ORDER, ship_to=HOME, picks=PICKS),
    FulfillmentRequested(order_id=ORDER, fulfillment_ids=(SHIPMENT, SHIPMENT_2)),
    StopShipments(order_id=ORDER),
    ShipmentsStopped(order_id=ORDER, kept=PICKS[:1]),
)
_FEEDS: tuple[Message, ...] = (
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
_STATEMENTS: tuple[Message, ...] = (
    BookStatement(
        account="DE89370400440532013000",
        statement="2026-03-02/041",
        entries=(
            BookedEntry(
                bank_reference="2026030200417",
                booked_on=NOON.date(),
                amount_minor=3390,
                currency="EUR",
                reference="RF31TLQEXLEBQAGD",
                remittance="RF31 TLQE XLEB QAGD",
                counterparty="Ada Lovelace",
                counterparty_account="DE02120300000000202051",
            ),
        ),
        by="grace",
    ),
    AssignEntry(entry_id=ENTRY, order_id=ORDER, by="grace"),
    SendBackEntry(entry_id=ENTRY, by="grace", reason="paid twice"),
    DismissEntry(entry_id=ENTRY, by="grace", reason="interest"),
)
_FRAME: tuple[Message, ...] = (
    CommandWithdrawn(),
    KeyReused(),
    RunOverdue(run_id=RUN),
    OperateRun(run_id=RUN, action="retry", operator="ops@example.com"),
)

EXAMPLES: Final[Mapping[type[Message], Message]] = {
    type(example): example
    for group in (
        _FROM_STOREFRONTS,
        _TO_STOREFRONTS,
        _WAREHOUSES,
        _ORDER,
        _INVENTORY,
        _WAREHOUSING,
        _PAYMENT,
        _FULFILLMENT,
        _FEEDS,
        _STATEMENTS,
        _FRAME,
    )
    for example in group
}
