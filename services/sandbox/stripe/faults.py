"""Which call goes wrong: as its payment's token says, or as a test asked at the script door."""

from collections import Counter
from dataclasses import dataclass

from services.sandbox.stripe.tokens import FAULTY_CALLS, Behaviour, Fault

OPERATIONS = ("create", "confirm", "capture", "cancel", "refund")
_LATER = {"capture": "capture", "cancel": "void", "refund": "refund"}


@dataclass
class _Ordered:
    operation: str
    fault: Fault
    times: int


class Faults:
    def __init__(self) -> None:
        self._ordered: list[_Ordered] = []
        self._spoiled: Counter[str] = Counter()

    def order(self, operation: str, fault: Fault, times: int) -> None:
        self._ordered.append(_Ordered(operation, fault, times))

    def clear(self) -> None:
        self._ordered.clear()

    def of(self, operation: str, key: str, intent_id: str, behaviour: Behaviour) -> Fault:
        """The fault of this very call, if its turn has not passed."""
        for ordered in self._ordered:
            if ordered.operation == operation and ordered.times:
                ordered.times -= 1
                return ordered.fault
        if operation in _LATER:
            fault, what = behaviour.later_faults.get(_LATER[operation], Fault.NONE), f"{operation} {intent_id}"
        else:
            fault, what = behaviour.fault, f"{operation} {key}"
        if fault is Fault.NONE or self._spoiled[what] >= FAULTY_CALLS[fault]:
            return Fault.NONE
        self._spoiled[what] += 1
        return fault
