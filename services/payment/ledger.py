"""Money moves from one account to another, and a row of the ledger names both: what is one row cannot be unbalanced.

A row is written by the decision that learns of the movement, beside the capture or refund it books, and never changed.
What was wrong is set right by a row of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID


class Account(StrEnum):
    """The whole chart. Of the clearing account each provider has its own: a row names it beside."""

    PROVIDER_CLEARING = "provider_clearing"
    """Debit: what a provider took for us and has not paid out."""
    BANK = "bank"
    """Debit: what providers paid out."""
    ORDER_FUNDS = "order_funds"
    """Credit: what customers paid for their orders, less what is promised back."""
    REFUNDS_PAYABLE = "refunds_payable"
    """Credit: promised back, and not yet given back."""
    PROVIDER_FEES = "provider_fees"
    """Debit: what providers keep for their service."""
    CHARGEBACKS = "chargebacks"
    """Debit: what banks took back for customers, until they give it to us again."""
    SUSPENSE = "suspense"
    """What a provider settled otherwise than our books say, accepted by a person and not explained yet."""


class EntryKind(StrEnum):
    """What moved the money; with its reference it is booked once."""

    CAPTURE = "capture"
    REFUND_RESERVED = "refund_reserved"
    REFUND = "refund"
    REFUND_REFUSED = "refund_refused"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSED = "chargeback_reversed"
    PAYOUT = "payout"
    FEE = "fee"
    FEE_RETURNED = "fee_returned"
    SURPLUS = "surplus"
    """The provider settled more than our books say."""
    SHORTFALL = "shortfall"
    """The provider settled less than our books say."""


SIDES: Final[Mapping[EntryKind, tuple[Account, Account]]] = MappingProxyType(
    {
        # what moved it                   debit                       credit
        EntryKind.CAPTURE: (Account.PROVIDER_CLEARING, Account.ORDER_FUNDS),
        EntryKind.REFUND_RESERVED: (Account.ORDER_FUNDS, Account.REFUNDS_PAYABLE),
        EntryKind.REFUND: (Account.REFUNDS_PAYABLE, Account.PROVIDER_CLEARING),
        EntryKind.REFUND_REFUSED: (Account.REFUNDS_PAYABLE, Account.ORDER_FUNDS),
        EntryKind.CHARGEBACK: (Account.CHARGEBACKS, Account.PROVIDER_CLEARING),
        EntryKind.CHARGEBACK_REVERSED: (Account.PROVIDER_CLEARING, Account.CHARGEBACKS),
        EntryKind.PAYOUT: (Account.BANK, Account.PROVIDER_CLEARING),
        EntryKind.FEE: (Account.PROVIDER_FEES, Account.PROVIDER_CLEARING),
        EntryKind.FEE_RETURNED: (Account.PROVIDER_CLEARING, Account.PROVIDER_FEES),
        EntryKind.SURPLUS: (Account.PROVIDER_CLEARING, Account.SUSPENSE),
        EntryKind.SHORTFALL: (Account.SUSPENSE, Account.PROVIDER_CLEARING),
    }
)
"""Every kind has its two accounts, here and in a CHECK."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement. `reference` names what is booked: a capture, a refund, a dispute, a line of a settlement.
    `order_id` is None for what is of no order: a payout, a provider's fee of its own."""

    id: UUID
    order_id: UUID | None
    occurred_at: datetime
    currency: str
    debit: Account
    credit: Account
    amount_minor: int
    kind: EntryKind
    reference: str
    provider: str


def transfer(
    kind: EntryKind,
    amount_minor: int,
    currency: str,
    *,
    id_: UUID,
    occurred_at: datetime,
    reference: str,
    provider: str,
    order_id: UUID | None = None,
) -> Transfer:
    """The row for one movement, on the accounts its kind has."""
    debit, credit = SIDES[kind]
    return Transfer(id_, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference, provider)
