"""The payment service alone, over tables in memory and the scripted provider: tests decide what happens when.

Calls, answers and notices are lists a test takes from in any order, twice or never; only time is moved by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from contracts.message import Message
from contracts.payment import ProviderAnswered
from contracts.story import StoryFact
from services.payment.attempt import Attempt
from services.payment.domain import Payment
from services.payment.effects import payment_effect
from services.payment.handlers import make_consumer
from services.payment.policy import PaymentPolicy
from services.payment.provider.port import AuthorizeRequest, Notices, ProviderAnswer
from services.payment.tables import ATTEMPTS, MACHINES, PAYMENTS, TABLES
from services.payment.webhook import Notice, told_by
from shared.batch import Batches
from shared.envelope import Envelope, open_envelope
from shared.heard import Heard
from tests.support.company import Ids, envelope_of
from tests.support.memory import MemoryStore
from tests.support.scripted_provider import ScriptedProvider

M = TypeVar("M", bound=Message)
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = PaymentPolicy(webhook_url="https://payment.example/notices", pending_wait_s={"transfer": 3600.0})
INSTANTS = 2_000


class TwoStepProvider(ScriptedProvider):
    """Holds first, though asked to take at once: the second call is ours."""

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        return await super().authorize(key, replace(request, capture=False))


class Till:
    def __init__(
        self,
        provider: type[ScriptedProvider] = ScriptedProvider,
        notices: Mapping[str, Notices] | None = None,
        per_shipment: frozenset[str] = frozenset(),
        authorize_again: bool = False,
    ) -> None:
        self.now = START
        self.new_id = Ids(self.clock)
        self.provider = provider(self.clock)
        self.effect = payment_effect({"sandbox": self.provider})
        self.store = MemoryStore(self.clock, tables=TABLES, machines=MACHINES)
        preparing = frozenset({"sandbox"} if self.provider.prepares else ())
        policy = replace(POLICY, preparing=preparing, per_shipment=per_shipment, authorize_again=authorize_again)
        self.batches = Batches(make_consumer(policy, notices), self.store, self.new_id)
        self.calls: list[Attempt] = []
        """Attempts a worker has taken and not called yet."""
        self.notices: list[Notice] = []

    def clock(self) -> datetime:
        return self.now

    # -- what happens --------------------------------------------------------------------------------------------

    async def hears(self, *messages: Message, keys: Sequence[str] = ()) -> None:
        """In one batch."""
        heard = []
        for index, message in enumerate(messages):
            key = keys[index] if index < len(keys) else None
            id_ = self.new_id()
            envelope = envelope_of(message, id_=id_, source="orchestrator", now=self.now, command_key=key)
            heard.append(Heard("payment", envelope, id_))
        await self.batches.run(heard)
        assert self.store.parked == {}

    async def takes(self, limit: int = 10) -> list[Attempt]:
        taken = await self.effect.take(self.store, limit)
        self.calls += taken
        return taken

    async def calls_out(self, attempt: Attempt) -> ProviderAnswered:
        """The call, and what the effect learned; nobody has heard it yet."""
        told = await self.effect.perform(attempt)
        self._hear_notices()
        assert isinstance(told, ProviderAnswered)
        return told

    async def works(self) -> None:
        """Workers take, call and tell until there is nothing to call."""
        for _ in range(INSTANTS):
            await self.takes()
            if not self.calls:
                return
            calls, self.calls = self.calls, []
            for attempt in calls:
                await self.hears(await self.calls_out(attempt))
        raise AssertionError("the provider is called for ever")

    async def passes(self, **span: float) -> None:
        """The clock moves, timers ring at their instants, workers work, notices wait."""
        until = self.now + timedelta(**span)
        for _ in range(INSTANTS):
            await self.works()
            soonest = min((at for at in (self.store.next_due(), self.provider.next_settlement()) if at), default=None)
            if soonest is None or soonest > until:
                self.now = until
                return
            self.now = max(self.now, soonest)
            await self.rings()
        raise AssertionError("timers ring for ever")

    async def rings(self) -> None:
        """What is due now."""
        self.notices += [told_by(notice, "sandbox") for notice in self.provider.settle_due()]
        await self.batches.run([], due=True)

    def settles(self, provider_payment_id: str, paid: bool) -> None:
        self.notices += [told_by(notice, "sandbox") for notice in self.provider.settle(provider_payment_id, paid)]

    def lapses(self, provider_payment_id: str) -> None:
        self.notices += [told_by(notice, "sandbox") for notice in self.provider.lapse(provider_payment_id)]

    def _hear_notices(self) -> None:
        self.notices += [told_by(notice, "sandbox") for notice in self.provider.take_notices()]

    # -- what became of it ---------------------------------------------------------------------------------------

    def payment(self, order_id: UUID) -> Payment:
        row = self.store.row(PAYMENTS, order_id)
        assert isinstance(row, Payment)
        return row

    def attempts(self, order_id: UUID) -> list[Attempt]:
        return [row for row in self.store.rows(ATTEMPTS) if row.order_id == order_id]

    def answers(self, key: str) -> list[Message]:
        """Everything said under a command key, interim replies too."""
        return [_opened(row) for row in self.store.said() if row.head.get("commandkey") == key]

    def answer(self, key: str) -> Message | None:
        final = [said for said in self.answers(key) if not said.interim]
        assert all(said == final[0] for said in final), "asked again, told the same"
        return final[0] if final else None

    def story(self) -> list[str]:
        return [fact.name for fact in self.said(StoryFact)]

    def said(self, kind: type[M]) -> list[M]:
        """Everything of a kind that was said, to whomever."""
        told = (_opened(row) for row in self.store.said())
        return [fact for fact in told if isinstance(fact, kind)]

    def books(self, order_id: UUID) -> dict[str, Any]:
        """The one payment the provider has for this order."""
        (found,) = self.all_books(order_id)
        return found

    def all_books(self, order_id: UUID) -> list[dict[str, Any]]:
        """All its payments at the provider, oldest first: more than one where a hold lapsed."""
        return [row for row in self.provider.books()["payments"] if row["reference"] == str(order_id)]


def _opened(row: Any) -> Message:
    return open_envelope(Envelope(row.head, row.body.encode()))
