"""One order's payment, as short as a test can say it: the commands, under the keys of their runs, and usual answers."""

from typing import Final
from uuid import UUID

from contracts.payment import AuthorizePayment, PaymentAuthorized, PaymentReleased, RefundPayment, ReleasePayment
from tests.support.till import Till

ORDER: Final = UUID(int=0xA1)
AUTHORIZE, RELEASE, REFUND = "orchestrator/run/pay/do", "orchestrator/run/pay/undo", "orchestrator/refund/pay/do"
AUTHORIZED = PaymentAuthorized(order_id=ORDER, captured=True)
RELEASED = PaymentReleased(order_id=ORDER)


def authorize(token: str = "tok_ok", amount_minor: int = 1000, method: str = "card") -> AuthorizePayment:
    return AuthorizePayment(order_id=ORDER, amount_minor=amount_minor, currency="EUR", method=method, token=token)


def release(reason: str = "reservation_expired") -> ReleasePayment:
    return ReleasePayment(order_id=ORDER, reason=reason)


def refund(number: int = 1, amount_minor: int = 400, currency: str = "EUR") -> RefundPayment:
    return RefundPayment(
        order_id=ORDER, refund_id=UUID(int=number), amount_minor=amount_minor, currency=currency, reason="late"
    )


async def authorized(till: Till, token: str = "tok_ok") -> None:
    await till.hears(authorize(token), keys=[AUTHORIZE])
    await till.works()
