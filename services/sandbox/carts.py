"""Carts that customers might fill: goods, prices and the sums under them, from a seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

GOODS: Final = tuple(
    f"{kind}-{variety}"
    for kind in ("TEA", "COFFEE", "CUP", "KETTLE", "HONEY")
    for variety in ("AMBER", "BIRCH", "CEDAR", "DUNE")
)
CURRENCIES: Final = {"EUR": 2, "USD": 2, "GBP": 2, "JPY": 0, "KRW": 0, "KWD": 3, "BHD": 3}
"""With no, two and three decimals."""
CUSTOMERS: Final = ("ada", "blaise", "carl", "emmy", "grace", "hedy", "katherine", "leonhard", "sofia", "srinivasa")
PLACES: Final = (
    ("DE", "Leipzig", "04109"),
    ("FR", "Lyon", "69002"),
    ("GB", "London", "N1 9GU"),
    ("JP", "Kyoto", "604-8571"),
    ("US", "Portland", "97205"),
)


@dataclass(frozen=True, slots=True)
class Line:
    sku: str
    quantity: int


def cart(
    rng: random.Random,
    checkout_id: str,
    *,
    token: str | None = "tok_ok",
    lines: Sequence[Line] | None = None,
    currency: str | None = None,
    method: str = "card",
) -> dict[str, Any]:
    """A checkout of two lines whose total adds up, in minor units of its currency."""
    code = currency or rng.choice(tuple(CURRENCIES))
    chosen = lines or [Line(sku, rng.randint(1, 3)) for sku in rng.sample(GOODS, 2)]
    country, city, postal_code = rng.choice(PLACES)
    who = rng.choice(CUSTOMERS)
    priced: list[dict[str, Any]] = [
        {"sku": line.sku, "quantity": line.quantity, "unit_price": _price(rng, code)} for line in chosen
    ]
    goods = sum(line["quantity"] * line["unit_price"]["amount_minor"] for line in priced)
    parts = {
        "discount": goods * rng.choice((0, 0, 5, 10)) // 100,
        "tax": goods * rng.choice((0, 7, 19, 20)) // 100,
        "shipping": rng.choice((0, 5 * 10 ** CURRENCIES[code])),
        "shipping_tax": rng.choice((0, 10 ** CURRENCIES[code])),
    }
    total = goods - parts["discount"] + parts["tax"] + parts["shipping"] + parts["shipping_tax"]
    placed: dict[str, Any] = {
        "checkout_id": checkout_id,
        "customer": {"reference": f"customer-{who}", "email": f"{who}@example.com"},
        "shipping_address": {
            "name": who.title(),
            "line1": f"{rng.randint(1, 99)} Analytical Row",
            "city": city,
            "postal_code": postal_code,
            "country": country,
        },
        "lines": priced,
        **{name: _money(amount, code) for name, amount in parts.items() if amount},
        "total": _money(total, code),
    }
    return placed | ({} if token is None else {"payment": {"method": method, "token": token}})


def receipts(reference: str, stock: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    """The body of a ReceiveStock: how many of a SKU lie in which warehouse."""
    lines = [{"sku": sku, "warehouse": where, "quantity": many} for (sku, where), many in sorted(stock.items())]
    return {"reference": reference, "receipts": lines}


def _price(rng: random.Random, currency: str) -> dict[str, Any]:
    return _money(rng.randint(1, 60) * 10 ** CURRENCIES[currency] + rng.randint(0, 9), currency)


def _money(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}
