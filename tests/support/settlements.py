"""Lines of a provider's report, as short as a test can say them."""

from typing import Final
from uuid import UUID

from services.payment.settlement.lines import Line, LineKind, line_key, page_key
from tests.support.till import START

REPORT: Final = UUID(int=0xE)
FEE: Final = 39  # 1.40 % of 1000, and 25


def line(
    id_: str,
    order: UUID | None,
    amount_minor: int,
    fee_minor: int = 0,
    kind: LineKind = LineKind.PAYMENT,
    settlement: UUID = REPORT,
) -> Line:
    return Line(
        line_key("sandbox", id_), settlement, page_key(settlement, 0), 2, "sandbox", kind, "", str(order), order,
        amount_minor, fee_minor, "EUR", START, version=1,
    )  # fmt: skip
