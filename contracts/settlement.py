"""What a provider settled, held against our ledger: a report to match, what none has, and what a person accepts."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.message import Fact, Local
from contracts.values import Reference

MAX_UNSETTLED = 200
"""Movements looked at in one decision."""


class MatchSettlement(Local, topic="payment.match_settlement", heard_by="payment"):
    """The next page of a report that was imported whole is to be matched; a page that was, changes nothing."""

    settlement_id: UUID
    page: Annotated[int, Field(ge=0)]


class NoteUnsettled(Fact, topic="payment.note_unsettled", heard_by="payment"):
    """These movements are in no report of their provider's: to be looked at again, and written down where too late."""

    provider: Reference
    transfer_ids: Annotated[tuple[UUID, ...], Field(min_length=1, max_length=MAX_UNSETTLED)]


class AcceptDifference(Fact, topic="payment.accept_difference", heard_by="payment"):
    """A person has looked at a difference: its proposed entry is to be booked."""

    difference_id: UUID
    by: Reference
