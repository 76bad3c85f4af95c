"""One schedule: two replicas of every service, a broker, and the world outside, driven step by step from one seed.

Nothing here knows a clock or a thread. The same seed is the same schedule, to the last step.
"""

import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from contracts.checkout import STOREFRONT_REQUESTS
from contracts.fulfillment import WAREHOUSE_REPORTS
from contracts.message import Message
from contracts.saga import OperateRun
from services.orchestrator.engine import key_of
from services.orchestrator.tables import RUNS
from services.payment.provider.port import WebhookNotice
from services.payment.webhook import told_by
from shared.effects import Effect
from shared.envelope import Envelope
from shared.store import Unavailable
from tests.simulation import script, stock
from tests.simulation.broker import Broker, Delivery
from tests.simulation.faults import Fault, Faults
from tests.simulation.outside import Bank, ScriptedWarehouse, Shop, UnreliableProvider
from tests.simulation.replica import Replica, local_envelope
from tests.simulation.steps import COMMITTED, Task, pause
from tests.simulation.stock import LOOKS_AGAIN, Word
from tests.support.company import Ids, company, envelope_of
from tests.support.memory import WAITING, MemoryStore
from tests.support.scripted_provider import ScriptedProvider

START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
REPLICAS: Final = 2
STEPS_AT_MOST: Final = 30_000
"""Turns of the scheduler: a usual schedule takes about a thousand."""
FAULTS_UNTIL: Final = 3_000
DAYS_AT_MOST: Final = 90
"""The longest timer is a return window of a month; whoever is still asking after that asks for ever."""
AWAY_S: Final = 1_000.0
"""Longer than a hold and than the patience of a saga."""
RUN_LENGTHS: Final = (1, 1, 2, 3, 5, 20, 20)
"""Steps a task goes before anybody else may: mostly few, so that tasks overlap; sometimes all, so that time goes on."""


class Stuck(AssertionError):
    """It never became quiet."""


@dataclass
class Cluster:
    """`run()` plays the schedule; what it leaves behind is for the invariants."""

    seed: int
    tracing: bool = False
    lines: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    played: Counter[str] = field(default_factory=Counter)
    turn: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.now = START
        self.new_id = Ids(self.clock)
        self.faults = Faults(self.rng)
        self.provider = ScriptedProvider(self.clock)
        self.warehouse = ScriptedWarehouse(self.rng, self.clock)
        self.bank = Bank(self.rng, self.clock, self._show)
        self.shops = {name: Shop(name, bank=self.bank, provider=self.provider) for name in script.SHOPS}
        self.notices: list[WebhookNotice] = []
        self.tasks: list[Task] = []
        self.words: list[Word] = []
        self.said: list[tuple[str, Message]] = []
        self._open_at = (-1, False)
        self._away: dict[str, datetime] = {}
        self.relay_owner: dict[str, Replica] = {}
        parts = company(UnreliableProvider(self.provider, self.faults), bank=self.bank)
        self.stores = {
            part.name: MemoryStore(self.clock, tables=part.tables, machines=part.machines, step=pause) for part in parts
        }
        for part in parts:
            if part.over is not None:
                part.over(self.stores[part.name])
        self.replicas = [
            Replica(self, part, number, self.stores[part.name]) for part in parts for number in range(REPLICAS)
        ]
        self.broker = Broker(
            self.rng,
            self.faults,
            self.clock,
            outside=frozenset(queue for part in parts for queue in part.consumer.outside),
            queues=frozenset(queue for part in parts for queue in part.consumer.queues),
            beyond=self._beyond,
        )

    def clock(self) -> datetime:
        return self.now

    def trace(self, line: str) -> None:
        if self.tracing:
            self.lines.append(f"{self.turn:5} {self.now:%d %H:%M:%S.%f} {line}")

    # -- the schedule --------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._open()
        script.write(self.rng, self.now, self.shops, self.played)
        self.words = [*script.deliveries(self.rng, self.now), *stock.words(self.rng, self.now)]
        self.faults.on = True
        last = self.now + timedelta(days=DAYS_AT_MOST)
        for self.turn in range(STEPS_AT_MOST):
            if self.turn >= FAULTS_UNTIL:
                self.faults.on = False
            if self._turn():
                continue
            if self.faults.on and self.faults.too_few and self.broker.say_again():
                self.faults.strike(Fault.DUPLICATE)
                continue
            soonest = self._next_instant()
            if soonest is None:
                return
            if soonest > last:
                raise Stuck(f"somebody still asks after {DAYS_AT_MOST} days: {self._waiting()}")
            self.now = max(self.now, soonest)
            self.trace("the clock moves")
        raise Stuck(f"not quiet after {STEPS_AT_MOST} turns: {self._waiting()}")

    def _open(self) -> None:
        """The shelves are filled before anything can go wrong."""
        facts = (*stock.sources(self.now), script.stock(self.rng), *script.products(self.now))
        self.words = [Word(self.now, "warehouse", fact) for fact in facts]
        while self._turn():
            pass
        self.words = stock.first_words(self.now)
        while self._turn():
            pass

    def spawn(self, name: str, owner: Replica, work: Coroutine[str, None, None]) -> None:
        self.tasks.append(Task(name, owner, work))

    def _turn(self) -> bool:
        """One thing happens; False when nothing can but the passing of time."""
        rng = self.rng
        if self.tasks:
            if self.faults.on and self._disturb():
                return True
            if rng.random() < 0.7:
                self._go_on(rng.choice(self.tasks))
                return True
        beginnings = self._beginnings()
        if beginnings:
            rng.choice(beginnings)()
            return True
        if self.tasks:
            self._go_on(rng.choice(self.tasks))
            return True
        return False

    def _go_on(self, task: Task) -> None:
        faults = self.faults
        for _ in range(self.rng.choice(RUN_LENGTHS)):
            if faults.on and self._breaks(task):
                return
            if not task.step():
                self.tasks.remove(task)
                return
            if task.at is WAITING:
                return

    def _breaks(self, task: Task) -> bool:
        """A fault at this step of this task; True when the task's turn is over."""
        if self.faults.strikes(Fault.CRASH):
            self._crash(task.owner)
            return True
        if task.name == "perform" or task.at in ("start", "publish", "confirms", "acknowledge"):
            return False
        fault = Fault.LOST_COMMIT if task.at is COMMITTED else Fault.DATABASE_AWAY
        if not self.faults.strikes(fault):
            return False
        self.trace(f"{task.owner.name} {task.name}: {fault} at {task.at}")
        if not task.throw(Unavailable(f"{fault} at {task.at}")):
            self.tasks.remove(task)
        return True

    def _crash(self, replica: Replica) -> None:
        self.trace(
            f"{replica.name} crashes at {[(task.name, task.at) for task in self.tasks if task.owner is replica]}"
        )
        for task in [task for task in self.tasks if task.owner is replica]:
            self.tasks.remove(task)
            task.die()
        replica.crash()
        if self.relay_owner.get(replica.part.name) is replica:
            del self.relay_owner[replica.part.name]

    def _disturb(self) -> bool:
        """Faults that are nobody's step."""
        faults, rng = self.faults, self.rng
        if faults.strikes(Fault.CUT):
            replica = rng.choice(self.tasks).owner
            self.trace(f"{replica.name} loses its connection")
            replica.cut()
            return True
        if faults.strikes(Fault.LATE):
            self.now += timedelta(seconds=rng.choice((1.0, 20.0, 20.0, 320.0)))
            self.trace("everybody is slow")
            return True
        if faults.strikes(Fault.AWAY):
            name, back = rng.choice(list(self.stores)), self.now + timedelta(seconds=rng.uniform(10.0, AWAY_S))
            self._away[name] = back
            self.trace(f"{name} stands still until {back}")
            return True
        if faults.strikes(Fault.OPERATOR) and self._operator():
            return True
        if self.stores["payment"].due and (until := self._hold_ends()) and faults.strikes(Fault.EXPIRY):
            self.now = max(self.now, until + timedelta(seconds=rng.choice((0.0, 0.001, 5.0))))
            self.trace("a hold's time is over while money is on its way")
            return True
        return False

    def _operator(self) -> bool:
        """Somebody at the console turns a run back, or asks again. (Skipping is for what was seen to by hand.)"""
        runs = [run for run in self.stores["orchestrator"].rows(RUNS) if run.changing is not None]
        if not runs:
            return False
        rarer = [run for run in runs if run.saga == "refund"]
        rarest = [run for run in rarer if run.position == 0]
        run = self.rng.choice(rarest or rarer or runs)
        action = self.rng.choice(("compensate", "compensate", "retry"))
        if action == "compensate":
            # turned back, perhaps, because an answer did not come: it comes when nobody waits for it any more
            self.broker.late_answers |= {key_of(run, slug, "do") for slug in run.pending}
        self._from_outside(OperateRun.heard_by, OperateRun(run_id=run.id, action=action, operator="sim"), "console", "")
        return True

    def _hold_ends(self) -> datetime | None:
        holds = (row.not_before for row in self.stores["inventory"].due.values() if row.name == "hold")
        return min(holds, default=None)

    # -- what may begin ------------------------------------------------------------------------------------------

    def _beginnings(self) -> list[Callable[[], object]]:
        found: list[Callable[[], object]] = []
        self.broker.release_delayed()
        self._collect_notices()
        ready = self.broker.ready
        relaying = {task.owner.part.name for task in self.tasks if task.name == "relay"}
        self._away = {name: until for name, until in self._away.items() if until > self.now}
        for replica in self.replicas:
            part, busy = replica.part, replica.busy
            if part.name in self._away:
                continue
            if "batch" not in busy and (replica.intake or not replica.queues.isdisjoint(ready) or replica.ripe()):
                found.append(replica.begin_batch)
            if (
                replica.store.outbox
                and "relay" not in busy
                and (self._owns(replica, relaying) or self.faults.strikes(Fault.TWO_OWNERS))
            ):
                found.append(replica.begin_relay)
            if part.effects and "take" not in busy:
                found += [
                    partial(replica.begin_effect, effect) for effect in part.effects if self._has_open(replica, effect)
                ]
        if self.notices:
            found.append(self._notify)
        if any(wish.at <= self.now for shop in self.shops.values() for wish in shop.wishes):
            found.append(self._shop_speaks)
        soonest = self.warehouse.next_instant()
        if soonest is not None and soonest <= self.now:
            found.append(self._warehouse_reports)
        if any(word.at <= self.now for word in self.words):
            found.append(self._stock_is_told)
        return found

    def _owns(self, replica: Replica, relaying: set[str]) -> bool:
        """Whether it holds the lock on its service's outbox: whoever relayed last does, until it crashes."""
        name = replica.part.name
        return name not in relaying and self.relay_owner.get(name, replica) is replica

    def _has_open(self, replica: Replica, effect: Effect[Any]) -> bool:
        """Looked up once per commit."""
        store = replica.store
        if self._open_at[0] != store.commits:
            rows = store.stored[effect.attempts].rows.values()
            self._open_at = (store.commits, any(row.state == "open" for row in rows))
        return self._open_at[1]

    def _shop_speaks(self) -> None:
        ready = [(shop, wish) for shop in self.shops.values() for wish in shop.wishes if wish.at <= self.now]
        shop, wish = self.rng.choice(ready)
        shop.wishes.remove(wish)
        shop.asked.append(wish.message)
        self._from_outside(STOREFRONT_REQUESTS, wish.message, shop.name, wish.id_, wish.broken)

    def _warehouse_reports(self) -> None:
        for report in self.warehouse.due_reports():
            self._from_outside(WAREHOUSE_REPORTS, report, "warehouse", report.report_id)

    def _stock_is_told(self) -> None:
        word = self.rng.choice([word for word in self.words if word.at <= self.now])
        self.words.remove(word)
        message = stock.ready(word, self.stores["inventory"])
        if message is None:
            self.words.append(replace(word, at=self.now + LOOKS_AGAIN))
            return
        self.said.append((word.source, message))
        self._from_outside(word.queue, message, word.source, word.id_)

    def _show(self, word: Word) -> None:
        """The bank has booked something, and a statement will say so."""
        self.words.append(word)

    def _from_outside(self, queue: str, message: Message, source: str, id_: str, broken: bool = False) -> None:
        envelope = envelope_of(message, id_=self.new_id(), source=source, now=self.now)
        if id_ or broken:
            head, body = envelope.head, envelope.body
            envelope = Envelope({**head, "id": id_ or head["id"]}, body[:-20] if broken else body)
        if self.tracing:
            self.trace(f"{source} says {message!r}")
        self.broker.publish(queue, (envelope,))

    def _collect_notices(self) -> None:
        new = [*self.provider.settle_due(), *self.provider.take_notices()]
        for notice in new:
            if self.faults.strikes(Fault.WEBHOOK_LOST):
                continue
            self.notices += [notice] * (2 if self.faults.strikes(Fault.WEBHOOK_AGAIN) else 1)

    def _notify(self) -> None:
        """The provider posts a notice at one replica's door, and again if it is not answered."""
        notice = self.notices.pop(self.rng.randrange(len(self.notices)))
        replica = self.rng.choice([one for one in self.replicas if one.part.name == "payment"])
        envelope = local_envelope(told_by(notice, "sandbox"), "payment", self)
        again = self.notices.append
        delivery = Delivery("payment", (envelope,), True, acked=lambda: None, lost=lambda: again(notice))
        self.trace(f"{replica.name} is told by the provider: {notice.type}")
        replica.hear_local(told_by(notice, "sandbox"), delivery)

    def _beyond(self, destination: str, envelope: Envelope) -> None:
        shop = self.shops.get(destination.partition(".")[0])
        if shop is not None:
            shop.hear(envelope, self.now)
        elif destination == "warehouse.orders":
            self.warehouse.hear(envelope)

    # -- time ----------------------------------------------------------------------------------------------------

    def _next_instant(self) -> datetime | None:
        instants: Iterable[datetime | None] = (
            *(store.next_due() for name, store in self.stores.items() if name not in self._away),
            *self._away.values(),
            *(word.at for word in self.words),
            *(wish.at for shop in self.shops.values() for wish in shop.wishes),
            self.broker.next_instant(),
            self.provider.next_settlement(),
            self.warehouse.next_instant(),
        )
        return min((at for at in instants if at is not None), default=None)

    def _waiting(self) -> Sequence[str]:
        due = [
            f"{name}: {row.head.get('type')} {row.name} {row.owner} {row.error[:200]}"
            for name, store in self.stores.items()
            for row in store.due.values()
        ]
        return [*(f"{task.owner.name} {task.name} at {task.at}" for task in self.tasks), *due]
