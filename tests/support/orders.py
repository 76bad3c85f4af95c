"""Orders for tests: commands as the sagas say them, and a world with the order service alone in it."""

from collections.abc import Sequence
from uuid import UUID

from contracts.fulfillment import FulfillmentProgressed
from contracts.message import Message
from contracts.order import ConfirmOrder, OrderLine, PlaceOrder
from contracts.values import Address, Customer, FulfillmentStatus, Pick
from services.order.domain import Order
from services.order.items import Item
from services.order.story import StoryLine
from services.order.tables import EVENTS, ITEMS, ORDERS
from tests.support.world import START, World

ORDER = UUID(int=0xA)
SHOP = "demo-shop"
ADDRESS = Address(name="Ada", line1="1 Mill Lane", city="London", postal_code="N1", country="GB")
TWO_LINES = (
    OrderLine(sku="cup", quantity=3, unit_price_minor=999),
    OrderLine(sku="pot", quantity=1, unit_price_minor=2500),
)


def place(order_id: UUID = ORDER, lines: Sequence[OrderLine] = TWO_LINES, **changes: object) -> PlaceOrder:
    """A command whose total adds up, unless `changes` say otherwise."""
    fields: dict[str, object] = {"discount_minor": 100, "tax_minor": 1001, "shipping_minor": 490}
    fields |= {"shipping_tax_minor": 93, "currency": "EUR"} | changes
    goods = sum(line.quantity * line.unit_price_minor for line in lines)
    costs = sum(int(str(fields[name])) for name in ("tax_minor", "shipping_minor", "shipping_tax_minor"))
    fields.setdefault("total_minor", goods - int(str(fields["discount_minor"])) + costs)
    return PlaceOrder.model_validate(
        {
            "order_id": order_id,
            "storefront": SHOP,
            "checkout_id": f"checkout-{order_id.int}",
            "customer": Customer(reference="ada", email="ada@example.org"),
            "shipping_address": ADDRESS,
            "lines": tuple(lines),
            **fields,
        }
    )


def progressed(
    status: FulfillmentStatus,
    picks: Sequence[tuple[str, int]] = (("cup", 3), ("pot", 1)),
    *,
    shipment: int = 1,
    tracking_number: str = "",
    order_id: UUID = ORDER,
) -> FulfillmentProgressed:
    return FulfillmentProgressed(
        order_id=order_id,
        fulfillment_id=UUID(int=shipment),
        warehouse="north",
        status=status,
        picks=tuple(Pick(warehouse="north", sku=sku, quantity=quantity) for sku, quantity in picks),
        carrier="post" if tracking_number else "",
        tracking_number=tracking_number,
        occurred_at=START,
    )


class OrderDesk:
    """The order service alone, and what it said."""

    def __init__(self) -> None:
        self.world = World(names=("order",))
        self._asked = 0

    def asks(self, command: Message, key: str = "") -> Message:
        """A saga asks; the answer it gets."""
        self._asked += 1
        before = len(self.answers())
        self.world.hears(command, source="orchestrator", key=key or f"orchestrator/run-{self._asked}/step/do")
        answers = self.answers()[before:]
        assert len(answers) == 1, answers
        return answers[0]

    def hears(self, message: Message, source: str = "fulfillment") -> None:
        self.world.hears(message, source=source)

    def paid(self, **changes: object) -> "OrderDesk":
        """With one order that is placed and confirmed."""
        self.asks(place(**changes))  # type: ignore[arg-type]
        self.asks(ConfirmOrder(order_id=ORDER))
        return self

    def answers(self) -> list[Message]:
        return self.world.said_to("orchestrator")

    def told(self) -> list[Message]:
        return self.world.told(SHOP)

    def order(self, order_id: UUID = ORDER) -> Order:
        row = self.world.store("order").row(ORDERS, order_id)
        assert isinstance(row, Order)
        return row

    def items(self) -> list[Item]:
        return list(self.world.store("order").rows(ITEMS))

    def story(self) -> list[StoryLine]:
        return list(self.world.store("order").rows(EVENTS))

    def statuses(self) -> list[str]:
        return [item.status.value for item in self.items()]
