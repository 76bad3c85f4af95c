"""An order paid per shipment, at the till: a thousand cents by a method that is held first."""

from uuid import UUID

from contracts.payment import AuthorizePayment, CaptureDue, PaymentAuthorized, RefundPayment, ReleasePayment
from tests.support.paying import AUTHORIZE, ORDER, RELEASE
from tests.support.till import Till

LATER = frozenset({"bnpl"})
HELD = PaymentAuthorized(order_id=ORDER, captured=False)


def authorize(token: str = "tok_ok", method: str = "bnpl") -> AuthorizePayment:
    return AuthorizePayment(order_id=ORDER, amount_minor=1000, currency="EUR", method=method, token=token)


def refund(amount_minor: int, number: int = 1, currency: str = "EUR") -> RefundPayment:
    return RefundPayment(order_id=ORDER, refund_id=UUID(int=number), amount_minor=amount_minor, currency=currency)


async def held(till: Till, token: str = "tok_ok") -> None:
    await till.hears(authorize(token), keys=[AUTHORIZE])
    await till.works()
    assert till.answers(AUTHORIZE) == [HELD]


async def sent(till: Till, *due_minor: int, currency: str = "EUR") -> None:
    """Parcels left, worth so much in all."""
    await till.hears(*(CaptureDue(order_id=ORDER, due_minor=due, currency=currency) for due in due_minor))
    await till.works()


async def released(till: Till) -> None:
    await till.hears(ReleasePayment(order_id=ORDER, reason="cancelled"), keys=[RELEASE])
