"""A payment method says how the payment will go: Stripe's own test names where Stripe has one, `pm_sandbox_…` else.

`pm_sandbox_ok_refund_error_void_timeout` is `pm_sandbox_ok` whose refunds and cancellations misbehave as named.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType


class Fault(StrEnum):
    """What goes wrong on the way of one call. The do_then_… ones have done the work before."""

    NONE = "none"
    ERROR = "error"  # a 500 before anything began: nothing is kept under the key
    BUSY = "busy"  # 429, nothing begun
    HANG = "hang"
    DO_THEN_HANG = "do_then_hang"
    DO_THEN_DROP = "do_then_drop"  # done, and the connection is cut at once
    DO_THEN_ERROR = "do_then_error"  # done, and a 500 is kept under the key and said for ever


FAULTY_CALLS: Mapping[Fault, int] = MappingProxyType(
    {fault: 2 if fault is Fault.ERROR else 1 for fault in Fault if fault is not Fault.NONE}
)
"""How many calls a scripted fault spoils before the same call is answered as it should be."""


@dataclass(frozen=True)
class Behaviour:
    decline_code: str | None = None
    decline_error: str = "card_declined"
    processing: bool = False
    settles_paid: bool | None = None  # None: stays processing until somebody settles it
    fault: Fault = Fault.NONE
    copies: int = 1  # how often every notice of this payment is sent
    event_first: bool = False  # the notice goes out before the answer
    dispute: str | None = None  # needs_response | won | lost, as soon as money was taken
    multicapture: bool = True
    later_faults: Mapping[str, Fault] = field(default_factory=dict)  # by operation: capture, void, refund


_DECLINED = Behaviour(decline_code="generic_decline")
_NO_FUNDS = Behaviour(decline_code="insufficient_funds")

BEHAVIOURS: Mapping[str, Behaviour] = MappingProxyType(
    {
        "pm_card_visa": Behaviour(),
        "pm_card_mastercard": Behaviour(),
        "pm_card_chargeDeclined": _DECLINED,
        "pm_card_visa_chargeDeclined": _DECLINED,
        "pm_card_chargeDeclinedInsufficientFunds": _NO_FUNDS,
        "pm_card_visa_chargeDeclinedInsufficientFunds": _NO_FUNDS,
        "pm_card_chargeDeclinedExpiredCard": Behaviour(decline_code="expired_card", decline_error="expired_card"),
        "pm_card_createDispute": Behaviour(dispute="needs_response"),
        "pm_sandbox_ok": Behaviour(),
        "pm_sandbox_single_capture": Behaviour(multicapture=False),
        "pm_sandbox_declined": _DECLINED,
        "pm_sandbox_error": Behaviour(fault=Fault.ERROR),
        "pm_sandbox_timeout": Behaviour(fault=Fault.HANG),
        "pm_sandbox_do_then_timeout": Behaviour(fault=Fault.DO_THEN_HANG),
        "pm_sandbox_do_then_drop": Behaviour(fault=Fault.DO_THEN_DROP),
        "pm_sandbox_do_then_error": Behaviour(fault=Fault.DO_THEN_ERROR),
        "pm_sandbox_pending": Behaviour(processing=True),
        "pm_sandbox_pending_then_paid": Behaviour(processing=True, settles_paid=True),
        "pm_sandbox_pending_then_failed": Behaviour(processing=True, settles_paid=False),
        "pm_sandbox_duplicate_webhook": Behaviour(copies=2),
        "pm_sandbox_webhook_first": Behaviour(event_first=True),
        "pm_sandbox_dispute_won": Behaviour(dispute="won"),
        "pm_sandbox_dispute_lost": Behaviour(dispute="lost"),
    }
)

_LATER = re.compile(r"_(capture|void|refund)_(error|timeout)$")
_LATER_FAULTS = {"error": Fault.ERROR, "timeout": Fault.DO_THEN_HANG}


@lru_cache(maxsize=1024)  # names come from outside: an endless variety of them must not fill the memory
def behaviour_of(payment_method: str) -> Behaviour | None:
    """None: there is no such payment method."""
    later: dict[str, Fault] = {}
    while ending := _LATER.search(payment_method):
        later[ending[1]] = _LATER_FAULTS[ending[2]]
        payment_method = payment_method[: ending.start()]
    behaviour = BEHAVIOURS.get(payment_method)
    return None if behaviour is None else replace(behaviour, later_faults=later)
