"""What is wrong with a checkout that could be read, by name; the first problem found is the one told."""

from dataclasses import dataclass

from contracts.checkout import PlaceCheckout
from contracts.values import MAX_AMOUNT_MINOR


@dataclass(frozen=True, slots=True)
class Problem:
    reason: str
    detail: str


def checkout_problem(request: PlaceCheckout) -> Problem | None:
    """None when the checkout can be begun."""
    extras = {
        "discount": request.discount,
        "tax": request.tax,
        "shipping": request.shipping,
        "shipping_tax": request.shipping_tax,
    }
    currency = request.total.currency
    odd = [f"lines.{n}" for n, line in enumerate(request.lines) if line.unit_price.currency != currency]
    odd += [name for name, money in extras.items() if money is not None and money.currency != currency]
    if odd:
        return Problem("mixed_currencies", f"the total is in {currency}, not so {', '.join(odd)}")
    goods = sum(line.quantity * line.unit_price.amount_minor for line in request.lines)
    amounts = {name: 0 if money is None else money.amount_minor for name, money in extras.items()}
    if amounts["discount"] > goods:
        return Problem("discount_above_goods", f"goods are {goods}, the discount is {amounts['discount']}")
    total = goods - amounts["discount"] + amounts["tax"] + amounts["shipping"] + amounts["shipping_tax"]
    if total != request.total.amount_minor:
        return Problem(
            "totals_do_not_add_up", f"the parts add up to {total}, the total says {request.total.amount_minor}"
        )
    if total > MAX_AMOUNT_MINOR:
        return Problem("amount_too_large", f"{total} is above {MAX_AMOUNT_MINOR}")
    return None
