"""The ledger of a payment service in memory, held against its payments: what must be the same at every instant."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from services.payment.ledger import SIDES, Account, EntryKind, Transfer
from services.payment.tables import CAPTURES, CHARGEBACKS, PAYMENTS, REFUNDS, TRANSFERS
from tests.support.memory import MemoryStore

OF_A_PAYMENT: Final = frozenset(
    {
        EntryKind.CAPTURE,
        EntryKind.REFUND_RESERVED,
        EntryKind.REFUND,
        EntryKind.REFUND_REFUSED,
        EntryKind.CHARGEBACK,
        EntryKind.CHARGEBACK_REVERSED,
    }
)


def balances(transfers: list[Transfer]) -> Counter[tuple[str, Account]]:
    """Debit less credit, by currency and account."""
    found: Counter[tuple[str, Account]] = Counter()
    for row in transfers:
        found[row.currency, row.debit] += row.amount_minor
        found[row.currency, row.credit] -= row.amount_minor
    return found


def ledger_is_wrong(store: MemoryStore) -> Iterator[str]:
    """Sentences about what the ledger and the payments do not agree on; none when they do."""
    of_orders: dict[Any, list[Transfer]] = {}
    booked: Counter[tuple[EntryKind, str]] = Counter()
    for row in store.rows(TRANSFERS):
        booked[row.kind, row.reference] += 1
        if row.amount_minor <= 0 or (row.debit, row.credit) != SIDES[row.kind]:
            yield f"{row} is on other accounts than its kind"
        if row.kind in OF_A_PAYMENT:
            of_orders.setdefault(row.order_id, []).append(row)
    for named, times in booked.items():
        if times > 1:
            yield f"booked {times} times: {named}"
    if sum(balances(store.rows(TRANSFERS)).values()) != 0:
        yield "debits are not credits"
    for payment in store.rows(PAYMENTS):
        mine = balances(of_orders.pop(payment.order_id, []))
        currency = payment.currency
        here = (
            mine[currency, Account.PROVIDER_CLEARING],
            -mine[currency, Account.REFUNDS_PAYABLE],
            -mine[currency, Account.ORDER_FUNDS],
            mine[currency, Account.CHARGEBACKS],
        )
        kept, disputed = payment.captured_minor - payment.refunded_minor, payment.disputed_minor
        reserved = payment.refund_reserved_minor
        there = (kept - disputed, reserved, kept - reserved, disputed)
        if here != there:
            yield f"{payment}, but its accounts stand at {here}"
    for order_id, rows in of_orders.items():
        yield f"{order_id} has no payment: {rows}"
    rows_of_money = {(EntryKind.CAPTURE, str(row.id)) for row in store.rows(CAPTURES)}
    for refund in store.rows(REFUNDS):
        if not refund.returned_minor:  # it was waived: nothing moved
            continue
        rows_of_money.add((EntryKind.REFUND_RESERVED, str(refund.refund_id)))
        if (ended := {"refunded": EntryKind.REFUND, "refused": EntryKind.REFUND_REFUSED}.get(refund.state)) is not None:
            rows_of_money.add((ended, str(refund.refund_id)))
    for chargeback in store.rows(CHARGEBACKS):
        rows_of_money.add((EntryKind.CHARGEBACK, str(chargeback.id)))
        if chargeback.state == "won":
            rows_of_money.add((EntryKind.CHARGEBACK_REVERSED, str(chargeback.id)))
    if odd := rows_of_money ^ {named for named in booked if named[0] in OF_A_PAYMENT}:
        yield f"on one side only: {odd}"
