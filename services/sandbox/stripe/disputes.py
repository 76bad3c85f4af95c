"""A dispute takes the money out of the merchant's balance when it opens; only a won one brings it back."""

from typing import Final

from services.sandbox.stripe.objects import Dispute, Intent
from services.sandbox.stripe.refusals import invalid
from services.sandbox.stripe.shelf import Shelf

DISPUTE_FEE: Final = 1500
CLOSED: Final = ("won", "lost")


def open_dispute(shelf: Shelf, intent: Intent, amount: int, reason: str, outcome: str = "needs_response") -> Dispute:
    charge = intent.charge
    if charge is None or not 0 < amount <= charge.amount_captured or charge.disputed:
        raise invalid("This charge cannot be disputed with that amount.")
    dispute = Dispute(shelf.new_id("dp"), charge.id, intent.id, amount, intent.currency, shelf.now(), reason)
    charge.disputed = True
    shelf.disputes[dispute.id] = dispute
    shelf.enter("dispute", intent, dispute.id, "", amount)
    booked = shelf.book("adjustment", "dispute", -amount, DISPUTE_FEE, intent, dispute.id, "")
    dispute.balance_transactions.append(booked.id)
    shelf.tell("charge.dispute.created", intent, dispute.shown())
    shelf.tell("charge.dispute.funds_withdrawn", intent, dispute.shown())
    if outcome in CLOSED:
        close_dispute(shelf, dispute, won=outcome == "won")
    return dispute


def close_dispute(shelf: Shelf, dispute: Dispute, won: bool) -> None:
    """Closed once; a second word about it changes nothing."""
    if dispute.status in CLOSED:
        return
    intent = shelf.intent(dispute.payment_intent)
    dispute.status = "won" if won else "lost"
    shelf.enter("dispute_won" if won else "dispute_lost", intent, dispute.id, "", dispute.amount)
    if won:
        booked = shelf.book("adjustment", "dispute_reversal", dispute.amount, 0, intent, dispute.id, "")
        dispute.balance_transactions.append(booked.id)
        shelf.tell("charge.dispute.funds_reinstated", intent, dispute.shown())
    shelf.tell("charge.dispute.closed", intent, dispute.shown())
