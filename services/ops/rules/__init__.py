"""Every rule there is: `rules` gives those that can be asked now."""

from collections.abc import Iterable
from typing import Final

from services.ops.rules.messages import MESSAGES
from services.ops.rules.money import MONEY
from services.ops.rules.promises import PROMISES
from services.ops.rules.rule import Rule
from services.ops.rules.stock import STOCK
from services.ops.rules.storefront import STOREFRONT

RULES: Final = (*STOCK, *MONEY, *PROMISES, *MESSAGES, *STOREFRONT)


def rules(*, settled: bool, storefront: bool) -> Iterable[Rule]:
    """Those that can be asked now."""
    for rule in RULES:
        if (settled or not rule.settled) and (storefront or not rule.needs_storefront):
            yield rule
