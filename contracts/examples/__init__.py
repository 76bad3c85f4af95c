"""One realistic instance of every message: order 0192…0001, two lines over two warehouses, paid by card, delivered."""

from collections.abc import Mapping
from typing import Final

from contracts.examples import frame, fulfillment, inventory, order, payment, storefront
from contracts.message import Message

EXAMPLES: Final[Mapping[type[Message], Message]] = {
    type(example): example
    for group in (
        storefront.SAID,
        storefront.HEARD,
        fulfillment.WAREHOUSES,
        order.MESSAGES,
        inventory.MESSAGES,
        inventory.WAREHOUSING,
        payment.MESSAGES,
        fulfillment.MESSAGES,
        inventory.FEEDS,
        payment.STATEMENTS,
        frame.MESSAGES,
    )
    for example in group
}
