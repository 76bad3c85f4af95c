"""What a bank says was booked on an account of ours, and what a person decides about an entry nobody could match."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from contracts.message import Fact
from contracts.values import MAX_AMOUNT_MINOR, Currency, Reference, Text, Value

MAX_ENTRIES_AT_ONCE = 50
"""Entries of one message, so that no decision is long; a statement is as many messages as it takes."""

Printed = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")]
"""Something a bank prints: a name of theirs that we keep as it is."""


class BookedEntry(Value):
    """One movement on the account. `amount_minor` is negative for money that left."""

    bank_reference: Printed
    """The bank's own name for it, unique on the account: the same one counts once."""
    booked_on: date
    amount_minor: Annotated[int, Field(ge=-MAX_AMOUNT_MINOR, le=MAX_AMOUNT_MINOR, strict=True)]
    currency: Currency
    reversal: bool = False
    """It undoes an earlier booking: money that came and was taken back, or left and came back."""
    reference: Annotated[str, StringConstraints(max_length=35)] = ""
    """The structured creditor reference, as it was given."""
    end_to_end_id: Annotated[str, StringConstraints(max_length=35)] = ""
    remittance: Annotated[str, StringConstraints(max_length=560)] = ""
    """What the payer wrote."""
    counterparty: Annotated[str, StringConstraints(max_length=140)] = ""
    counterparty_account: Annotated[str, StringConstraints(max_length=70)] = ""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.amount_minor == 0:
            raise ValueError("an entry of nothing")
        return self


class BookStatement(Fact, topic="payment.book_statement", heard_by="payment"):
    """Some entries of a bank's statement: each is matched with what we wait for, once, however often it is told."""

    account: Printed
    statement: Printed
    """The bank's own name of the statement."""
    entries: Annotated[tuple[BookedEntry, ...], Field(min_length=1, max_length=MAX_ENTRIES_AT_ONCE)]
    by: Reference
    """Who imported it."""


class AssignEntry(Fact, topic="payment.assign_entry", heard_by="payment"):
    """A person says which order an open entry pays for. It must pay for all of it, and for no more unless the rest
    goes back."""

    entry_id: UUID
    order_id: UUID
    by: Reference
    rest_goes_back: bool = False


class SendBackEntry(Fact, topic="payment.send_back_entry", heard_by="payment"):
    """A person says that the money of an open entry goes back; it is done when a statement shows that it went."""

    entry_id: UUID
    by: Reference
    reason: Text = ""


class DismissEntry(Fact, topic="payment.dismiss_entry", heard_by="payment"):
    """A person says that an open entry is no business of ours."""

    entry_id: UUID
    by: Reference
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]
