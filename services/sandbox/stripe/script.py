"""The door for tests and demonstrations: what only the world outside decides is decided here by whoever asks."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.sandbox.stripe import desk, disputes
from services.sandbox.stripe.faults import Faults
from services.sandbox.stripe.refusals import Refusal
from services.sandbox.stripe.shelf import Shelf
from services.sandbox.stripe.tokens import Fault

Handle = Callable[[web.Request], Awaitable[web.Response]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Settle(_Body):
    payment_intent: str
    paid: bool


class _OpenDispute(_Body):
    payment_intent: str
    amount: Annotated[int, Field(gt=0)] | None = None
    reason: str = "fraudulent"


class _CloseDispute(_Body):
    dispute: str
    won: bool


class _Fault(_Body):
    operation: Literal["create", "confirm", "capture", "cancel", "refund"]
    fault: Fault
    times: Annotated[int, Field(ge=1, le=100)] = 1


class ScriptDoor:
    def __init__(
        self, shelf: Shelf, faults: Faults, tell: Callable[[], Awaitable[None]], flush: Callable[[], None]
    ) -> None:
        self._shelf = shelf
        self._faults = faults
        self._tell = tell
        self._flush = flush

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/script/settle", self._answering(self._settle)),
            web.post("/script/dispute", self._answering(self._open_dispute)),
            web.post("/script/dispute/close", self._answering(self._close_dispute)),
            web.post("/script/fault", self._answering(self._order_fault)),
            web.post("/script/webhooks/flush", self._answering(self._flush_webhooks)),
        ]

    def _answering(self, handle: Callable[[bytes], str]) -> Handle:
        async def answer(request: web.Request) -> web.Response:
            try:
                done = handle(await request.read())
            except ValidationError as error:
                return web.json_response({"error": {"type": "bad_script", "message": str(error)}}, status=400)
            except Refusal as refusal:
                return web.json_response(refusal.body(), status=refusal.status)
            await self._tell()
            return web.json_response({"done": done})

        return answer

    def _settle(self, body: bytes) -> str:
        asked = _Settle.model_validate_json(body)
        desk.settle(self._shelf, self._shelf.intent(asked.payment_intent), asked.paid)
        return asked.payment_intent

    def _open_dispute(self, body: bytes) -> str:
        asked = _OpenDispute.model_validate_json(body)
        intent = self._shelf.intent(asked.payment_intent)
        return disputes.open_dispute(self._shelf, intent, asked.amount or intent.amount_received, asked.reason).id

    def _close_dispute(self, body: bytes) -> str:
        asked = _CloseDispute.model_validate_json(body)
        dispute = self._shelf.disputes.get(asked.dispute)
        if dispute is None:
            raise Refusal(404, "invalid_request_error", f"No such dispute: '{asked.dispute}'", code="resource_missing")
        disputes.close_dispute(self._shelf, dispute, asked.won)
        return dispute.id

    def _order_fault(self, body: bytes) -> str:
        asked = _Fault.model_validate_json(body)
        self._faults.order(asked.operation, asked.fault, asked.times)
        return asked.operation

    def _flush_webhooks(self, body: bytes) -> str:
        self._flush()
        return "flushed"
