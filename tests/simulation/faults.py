"""Every way the world can be unkind, each with a few charges per schedule, each counted when it fires."""

import random
from collections import Counter
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    DUPLICATE = "duplicate"  # a message that was published comes once more, at once or much later
    REORDER = "reorder"  # a queue is read in any order
    DELAY = "delay"  # a message lies somewhere for up to twenty minutes
    LOST_ACK = "lost_ack"  # committed, and the connection is lost before the acknowledgement
    CUT = "cut"  # the broker's connection is lost while a batch is decided: another replica hears the same
    AWAY = "away"  # a whole service stands still for minutes, while the others ask and give up
    CRASH = "crash"  # a process dies between any two steps
    LOST_COMMIT = "lost_commit"  # committed, and the database's answer is lost
    DATABASE_AWAY = "database_away"  # any other call to the database fails
    UNCONFIRMED = "unconfirmed"  # published, and the broker says it is not known
    UNPUBLISHED = "unpublished"  # not published, and the broker says it is not known
    TWO_OWNERS = "two_owners"  # two replicas relay one outbox
    EXPIRY = "expiry"  # the hold's time is over while the payment is in flight
    LATE = "late"  # everybody is slow: the clock moves while there is work
    OPERATOR = "operator"  # somebody turns a run back by hand, or asks again
    UNKNOWN_DONE = "unknown_done"  # the provider did it, and we do not learn it
    UNKNOWN_UNDONE = "unknown_undone"  # the provider did not hear us
    WEBHOOK_AGAIN = "webhook_again"  # a notice comes twice
    WEBHOOK_LOST = "webhook_lost"  # and never again: the provider has given up


CHANCE: Final[dict[Fault, float]] = {
    # per occasion; occasions differ in number, so do the chances
    Fault.DUPLICATE: 0.04,
    Fault.REORDER: 0.3,
    Fault.DELAY: 0.03,
    Fault.LOST_ACK: 0.06,
    Fault.CUT: 0.01,
    Fault.AWAY: 0.004,
    Fault.CRASH: 0.006,
    Fault.LOST_COMMIT: 0.03,
    Fault.DATABASE_AWAY: 0.004,
    Fault.UNCONFIRMED: 0.08,
    Fault.UNPUBLISHED: 0.08,
    Fault.TWO_OWNERS: 0.3,
    Fault.EXPIRY: 0.06,
    Fault.LATE: 0.01,
    Fault.OPERATOR: 0.01,
    Fault.UNKNOWN_DONE: 0.25,
    Fault.UNKNOWN_UNDONE: 0.15,
    Fault.WEBHOOK_AGAIN: 0.5,
    Fault.WEBHOOK_LOST: 0.3,
}
KINDS_PER_SCHEDULE: Final = (4, 9)
CHARGES: Final = (1, 4)
AT_LEAST: Final = 3
"""Faults that fire in every schedule."""


class Faults:
    """`strikes` says whether a fault happens here, and counts it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        kinds = rng.sample(list(Fault), rng.randint(*KINDS_PER_SCHEDULE))
        self._charges = {kind: rng.randint(*CHARGES) for kind in kinds}
        self.fired: Counter[str] = Counter()
        self.on = False

    def strikes(self, fault: Fault) -> bool:
        if not self.on or fault not in self._charges or self._rng.random() >= CHANCE[fault]:
            return False
        return self.spend(fault)

    def spend(self, fault: Fault) -> bool:
        """One charge less; False when there is none left."""
        left = self._charges.get(fault, 0)
        if not left:
            return False
        self.strike(fault)
        if left == 1:
            del self._charges[fault]
        else:
            self._charges[fault] = left - 1
        return True

    def strike(self, fault: Fault) -> None:
        self.fired[fault.value] += 1

    @property
    def too_few(self) -> bool:
        return self.fired.total() < AT_LEAST
