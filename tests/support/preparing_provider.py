"""A scripted provider that makes a payment first, under its own id, and holds or takes it when that is confirmed."""

from dataclasses import replace
from typing import Any, ClassVar

from services.payment.provider.port import (
    AuthorizeRequest,
    CaptureRequest,
    Impossible,
    Prepared,
    ProviderAnswer,
    RefundRequest,
    Unknown,
    Voided,
    VoidRequest,
    WebhookNotice,
)
from tests.support.scripted_provider import ScriptedProvider


class PreparingProvider(ScriptedProvider):
    """Outside it speaks of the prepared id and of the attempt that prepared; its books keep their own."""

    prepares: ClassVar[bool] = True

    def __init__(self, now: Any, **more: Any) -> None:
        super().__init__(now, **more)
        self._prepared: dict[str, str] = {}
        """The attempt that prepared, by the id it got."""
        self._cancelled: set[str] = set()
        self._booked: dict[str, str] = {}
        """The books' id by the prepared one."""

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        if "prepare_timeout" in request.token:
            return Unknown("timeout")
        id_ = f"intent_{key}"
        self._prepared[id_] = key
        return Prepared(id_)

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        intent = request.provider_payment_id
        assert intent in self._prepared, "confirmed and never prepared"
        if intent in self._cancelled:
            return Impossible("cancelled", "voided", intent)
        answer = await super().authorize(key, replace(request, provider_payment_id=""))
        for row in super().books()["payments"]:
            if row["key"] == key:
                self._booked[intent] = row["id"]
        return self._outside(answer)

    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer:
        return self._outside(await super().capture(key, replace(request, provider_payment_id=self._inside(request))))

    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer:
        if request.provider_payment_id not in self._booked:
            self._cancelled.add(request.provider_payment_id)
            return Voided(request.provider_payment_id)
        return self._outside(await super().void(key, VoidRequest(self._inside(request))))

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        return self._outside(await super().refund(key, replace(request, provider_payment_id=self._inside(request))))

    async def find(self, provider_payment_id: str) -> ProviderAnswer:
        return self._outside(await super().find(self._booked.get(provider_payment_id, provider_payment_id)))

    def settle(self, payment_id: str, paid: bool) -> list[WebhookNotice]:
        return [self._told(notice) for notice in super().settle(payment_id, paid)]

    def lapse(self, payment_id: str) -> list[WebhookNotice]:
        return [self._told(notice) for notice in super().lapse(payment_id)]

    def settle_due(self) -> list[WebhookNotice]:
        return [self._told(notice) for notice in super().settle_due()]

    def take_notices(self) -> list[WebhookNotice]:
        return [self._told(notice) for notice in super().take_notices()]

    def known_as(self, booked: str) -> str:
        return self._intent_of(booked) or booked

    def _inside(self, request: CaptureRequest | VoidRequest | RefundRequest) -> str:
        return self._booked[request.provider_payment_id]

    def _outside(self, answer: ProviderAnswer) -> ProviderAnswer:
        intent = self._intent_of(answer.provider_payment_id)
        return replace(answer, provider_payment_id=intent) if intent else answer

    def _told(self, notice: WebhookNotice) -> WebhookNotice:
        intent = self._intent_of(notice.provider_payment_id)
        if intent is None:  # told before the call was answered: the books know it by the key that confirmed
            return notice
        return replace(
            notice,
            provider_payment_id=intent,
            authorize_key=self._prepared[intent],
            answer=replace(notice.answer, provider_payment_id=intent),
        )

    def _intent_of(self, booked: str | None) -> str | None:
        return next((intent for intent, id_ in self._booked.items() if id_ == booked), None)
