"""The till of a shop that is paid by transfer: the provider is a bank, and tests say what its statements booked."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from contracts.message import Message
from contracts.payment import AuthorizePayment, RefundPayment
from contracts.statement import BookedEntry, BookStatement
from services.payment.attempt import AttemptKind
from services.payment.banking.entries import Entry, Statement, entry_id
from services.payment.banking.tables import ENTRIES, STATEMENTS
from services.payment.creditor_reference import reference_of
from services.payment.provider.bank import BankTransfer
from tests.support.paying import ORDER
from tests.support.scripted_provider import ScriptedProvider
from tests.support.till import Till

ACCOUNT = "DE89370400440532013000"
DAY = date(2026, 3, 2)
OTHER = UUID(int=0xA2)


class ScriptedBank(BankTransfer, ScriptedProvider):
    """A bank says nothing by itself: of the scripted provider only its empty books are used."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        ScriptedProvider.__init__(self, now)


class BankTill(Till):
    def __init__(self) -> None:
        super().__init__(ScriptedBank)
        self.number = 0

    async def ordered(self, order_id: UUID, key: str, amount_minor: int = 1000, currency: str = "EUR") -> str:
        """An order to be paid by transfer, and the reference its customer must quote."""
        await self.hears(
            AuthorizePayment(
                order_id=order_id, amount_minor=amount_minor, currency=currency, method="transfer", token="none"
            ),
            keys=[key],
        )
        await self.works()
        return self.payment(order_id).provider_payment_id

    def booked(self, text: str = "", amount_minor: int = 1000, **more: Any) -> BookedEntry:
        """A new entry of the account."""
        self.number += 1
        fields = {"bank_reference": f"E-{self.number}", "booked_on": DAY, "currency": "EUR"}
        return BookedEntry.model_validate(fields | {"amount_minor": amount_minor, "remittance": text} | more)

    async def states(self, *entries: BookedEntry, statement: str = "041") -> list[Entry]:
        """A statement is imported, and what became of its entries."""
        await self.hears(BookStatement(account=ACCOUNT, statement=statement, entries=entries, by="grace"))
        assert [row.error for row in self.store.due.values() if row.error] == []
        return [self.entry(told.bank_reference) for told in entries]

    def entry(self, bank_reference: str) -> Entry:
        row = self.store.row(ENTRIES, entry_id(ACCOUNT, bank_reference))
        assert isinstance(row, Entry)
        return row

    def statements(self) -> list[Statement]:
        return list(self.store.rows(STATEMENTS))

    async def decides(self, message: Message) -> None:
        await self.hears(message)


def refund(amount_minor: int = 400) -> RefundPayment:
    return RefundPayment(
        order_id=ORDER, refund_id=UUID(int=1), amount_minor=amount_minor, currency="EUR", reason="late"
    )


def payout(till: BankTill) -> str:
    """The reference of the refund that is to be paid out."""
    (attempt,) = [row for row in till.attempts(ORDER) if row.kind is AttemptKind.REFUND]
    return reference_of(str(attempt.id))
