"""Stripe, through its own SDK: a payment is made unconfirmed first, so that its id is ours before money is asked for.

Every call has a key, a total time and no retries of the SDK's: asking again is the caller's, with the same key.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, Self

import aiohttp
import stripe

from services.payment.provider.port import (
    Authorized,
    AuthorizeRequest,
    Captured,
    CaptureRequest,
    Declined,
    Impossible,
    Pending,
    Prepared,
    ProviderAnswer,
    Refunded,
    RefundRequest,
    Settled,
    Unknown,
    Voided,
    VoidRequest,
    WebhookNotice,
)
from services.payment.provider.stripe_money import to_stripe
from services.payment.provider.stripe_notices import hear
from services.payment.provider.stripe_refusals import (
    NOT_PAYABLE,
    NOT_READ,
    capture_refused,
    confirm_refused,
    declined_by,
    error_of,
    is_kept,
    is_missing,
    is_outcome,
    refund_refused,
    unknown_of,
    void_refused,
)
from services.payment.provider.stripe_settlements import list_settlements
from services.payment.provider.stripe_words import (
    ATTEMPT,
    LAST_CAPTURE,
    REFERENCE,
    ChargeShown,
    IntentShown,
    RefundShown,
    answer_of,
    released_of,
)

# It would send figures about each call, and write an id of its own into the home directory.
stripe.enable_telemetry = False

EXPAND_CHARGE: Final = ["latest_charge"]
KEPT_ERROR: Final = "kept error"
FINAL: Final = ".final"
PAYMENT_ID: Final = re.compile(r"\w{1,255}", re.ASCII)

Refuse = Callable[[stripe.InvalidRequestError], Awaitable[ProviderAnswer]]


@dataclass(frozen=True)
class StripeProviderSettings:
    api_key: str = field(repr=False)
    webhook_secret: str = field(default="", repr=False)
    url: str = "https://api.stripe.com"
    timeout_s: float = 10.0  # the whole call, waiting for a free connection included
    connections: int = 64
    multicapture: bool = True
    """Ask for capturing in parts. Without it the first capture is the last, and the rest is let go."""


class StripeProvider:
    """`async with StripeProvider(settings) as provider:`: one session, so connections are kept and bounded."""

    prepares: ClassVar[bool] = True

    def __init__(self, settings: StripeProviderSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._opened: stripe.StripeClient | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._settings.connections), timeout=timeout
        )
        self._opened = stripe.StripeClient(
            self._settings.api_key,
            base_addresses={"api": self._settings.url},
            max_network_retries=0,
            http_client=stripe.AIOHTTPClient(timeout=timeout, session=self._session),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = self._opened = None

    async def prepare(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        async def ask() -> ProviderAnswer:
            if amount is None:
                return Impossible(NOT_PAYABLE)
            # Two calls of one attempt are two keys at Stripe, where a key belongs to one address.
            options: stripe.RequestOptions = {"idempotency_key": f"{key}.prepare"}
            made = await self._api.payment_intents.create_async(self._created(key, request, amount), options)
            return Prepared(made.id)

        async def kept() -> ProviderAnswer:
            found = await self._found(key)
            return Unknown(KEPT_ERROR) if found is None else Prepared(found)

        amount = to_stripe(request.amount_minor, request.currency)
        return await self._asked(None, ask, _refused_by_name(None), kept)

    async def authorize(self, key: str, request: AuthorizeRequest) -> ProviderAnswer:
        async def ask() -> ProviderAnswer:
            if amount is None:
                return Impossible(NOT_PAYABLE, None, payment_id)
            options: stripe.RequestOptions = {"idempotency_key": key}
            if payment_id is not None:
                confirmed = await self._api.payment_intents.confirm_async(
                    payment_id, {"payment_method": request.token, "expand": EXPAND_CHARGE}, options
                )
                return await self._stands(confirmed)
            asked = self._created(key, request, amount)
            asked |= {"confirm": True, "payment_method": request.token, "expand": EXPAND_CHARGE}
            return await self._stands(await self._api.payment_intents.create_async(asked, options))

        async def refused(error: stripe.InvalidRequestError) -> ProviderAnswer:
            if is_missing(error, "payment_method"):
                return Declined("unknown_token", payment_id)
            if payment_id is None:
                return Impossible(error_of(error))
            return confirm_refused(error, await self._look(payment_id))

        async def kept() -> ProviderAnswer:
            found = payment_id or await self._found(key)
            stands = Unknown(KEPT_ERROR) if found is None else await self._look(found)
            return Unknown(KEPT_ERROR, found) if isinstance(stands, Prepared) else stands

        amount, payment_id = to_stripe(request.amount_minor, request.currency), request.provider_payment_id or None
        return await self._asked(payment_id, ask, refused, kept)

    async def capture(self, key: str, request: CaptureRequest) -> ProviderAnswer:
        async def ask() -> ProviderAnswer:
            return await self._capture(key, request, final=not self._settings.multicapture)

        async def refused(error: stripe.InvalidRequestError) -> ProviderAnswer:
            intent = await self._read(payment_id)
            if error.param == "final_capture" and request.amount_minor == intent.minor(intent.amount):
                # A card without captures in parts: the whole amount may be taken all the same, as the last capture.
                return await self._capture(f"{key}{FINAL}", request, final=True)
            return capture_refused(error, await self._answer(intent))

        async def kept() -> ProviderAnswer:
            intent = await self._read(payment_id)
            known = intent.metadata.get(LAST_CAPTURE) == key
            return await self._answer(intent) if known else Unknown(KEPT_ERROR, payment_id)

        payment_id = request.provider_payment_id
        return await self._asked(payment_id, ask, refused, kept)

    async def void(self, key: str, request: VoidRequest) -> ProviderAnswer:
        async def ask() -> ProviderAnswer:
            return await self._void(key, payment_id)

        async def refused(error: stripe.InvalidRequestError) -> ProviderAnswer:
            return void_refused(error, await self._look(payment_id))

        async def kept() -> ProviderAnswer:
            intent = await self._read(payment_id)
            known = intent.status == "canceled"
            return Voided(payment_id, intent.minor(released_of(intent))) if known else Unknown(KEPT_ERROR, payment_id)

        payment_id = request.provider_payment_id
        return await self._asked(payment_id, ask, refused, kept)

    async def refund(self, key: str, request: RefundRequest) -> ProviderAnswer:
        async def ask() -> ProviderAnswer:
            return await self._refund(key, payment_id, request.amount_minor)

        async def refused(error: stripe.InvalidRequestError) -> ProviderAnswer:
            return refund_refused(error, await self._look(payment_id))

        async def kept() -> ProviderAnswer:
            made = await self._made(key, payment_id)
            return Unknown(KEPT_ERROR, payment_id) if made is None else await self._given(payment_id, made)

        payment_id = request.provider_payment_id
        return await self._asked(payment_id, ask, refused, kept)

    async def withdraw(self, key: str, authorize_key: str) -> ProviderAnswer:
        """Finds the payment by our attempt's id in its metadata. There is no tombstone at Stripe: what is not found
        is not known, and a payment that was prepared is withdrawn by voiding it, whatever its confirmation does."""

        async def ask() -> ProviderAnswer:
            found = await self._found(authorize_key)
            return Unknown("not found") if found is None else await self._give_up(key, await self._read(found))

        return await self._asked(None, ask, _refused_by_name(None))

    async def find(self, provider_payment_id: str) -> ProviderAnswer:
        async def ask() -> ProviderAnswer:
            return await self._look(provider_payment_id)

        return await self._asked(provider_payment_id, ask, _refused_by_name(provider_payment_id))

    proof: ClassVar[frozenset[str]] = frozenset({"stripe-signature"})

    def hear(self, headers: Mapping[str, str], body: bytes, now: datetime) -> WebhookNotice:
        return hear(self._settings.webhook_secret, headers, body, now)

    async def list_settlements(self, since: datetime) -> Sequence[Settled]:
        return await list_settlements(self._api.balance_transactions, since)

    def _created(self, key: str, request: AuthorizeRequest, amount: int) -> stripe.params.PaymentIntentCreateParams:
        created: stripe.params.PaymentIntentCreateParams = {
            "amount": amount,
            "currency": request.currency.lower(),
            "capture_method": "automatic" if request.capture else "manual",
            "metadata": {REFERENCE: request.reference, ATTEMPT: key},
            # Nobody is there to be sent to another page: the storefront has done that before it had the token.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
        if not request.capture and self._settings.multicapture:
            created["payment_method_options"] = {"card": {"request_multicapture": "if_available"}}
        return created

    # -- one request each --------------------------------------------------------------------------------------------

    @property
    def _api(self) -> stripe.V1Services:
        if self._opened is None:
            raise RuntimeError("the provider's session is not open: use it with `async with`")
        return self._opened.v1

    async def _read(self, payment_id: str) -> IntentShown:
        found = await self._api.payment_intents.retrieve_async(payment_id, {"expand": EXPAND_CHARGE})
        return IntentShown.model_validate(found.to_dict())

    async def _found(self, attempt: str) -> str | None:
        """The payment that our attempt made, by its metadata. Searching lags behind: what it doesn't show may be there,
        and only the payment itself says where it stands."""
        quoted = attempt.replace("\\", "\\\\").replace('"', '\\"')
        found = await self._api.payment_intents.search_async({"query": f'metadata["{ATTEMPT}"]:"{quoted}"'})
        return found.data[0].id if found.data else None

    async def _capture(self, key: str, request: CaptureRequest, final: bool) -> ProviderAnswer:
        before = await self._read(request.provider_payment_id)
        amount = to_stripe(request.amount_minor, before.currency.upper())
        if amount is None:
            return Impossible(NOT_PAYABLE, None, before.id)
        asked: stripe.params.PaymentIntentCaptureParams = {
            "amount_to_capture": amount,
            "expand": EXPAND_CHARGE,
            "metadata": {LAST_CAPTURE: key.removesuffix(FINAL)},
        }
        if not final:
            asked["final_capture"] = False
        captured = await self._api.payment_intents.capture_async(
            request.provider_payment_id, asked, {"idempotency_key": key}
        )
        intent = IntentShown.model_validate(captured.to_dict())
        return Captured(intent.id, intent.minor(intent.amount_received), intent.minor(await self._refunded(intent)))

    async def _void(self, key: str, payment_id: str) -> ProviderAnswer:
        canceled = await self._api.payment_intents.cancel_async(
            payment_id, {"expand": EXPAND_CHARGE}, {"idempotency_key": key}
        )
        intent = IntentShown.model_validate(canceled.to_dict())
        return Voided(intent.id, intent.minor(released_of(intent)))

    async def _refund(self, key: str, payment_id: str, amount_minor: int) -> ProviderAnswer:
        """Asked again it is looked for first: Stripe forgets a key after a day, and would give it back once more."""
        before = await self._read(payment_id)
        amount = to_stripe(amount_minor, before.currency.upper())
        if amount is None:
            return Impossible(NOT_PAYABLE, None, payment_id)
        made = await self._made(key, payment_id)
        if made is None:
            created = await self._api.refunds.create_async(
                {"payment_intent": payment_id, "amount": amount, "metadata": {ATTEMPT: key}}, {"idempotency_key": key}
            )
            made = RefundShown.model_validate(created.to_dict())
        elif made.amount != amount:
            return Unknown("key_reused", payment_id)
        return await self._given(payment_id, made)

    async def _made(self, key: str, payment_id: str) -> RefundShown | None:
        """The refund that this attempt of ours made, by its metadata."""
        return next(
            (made for made in await self._refunds(payment_id) if (made.metadata or {}).get(ATTEMPT) == key), None
        )

    async def _given(self, payment_id: str, made: RefundShown) -> ProviderAnswer:
        """A refund may be pending for days, and fail after that."""
        match made.status:
            case "succeeded":
                intent = await self._read(payment_id)
                return Refunded(payment_id, intent.minor(await self._refunded(intent)), made.id)
            case "failed" | "canceled":
                return Impossible("refund_failed", None, payment_id)
            case status:
                return Unknown(f"the refund is {status}", payment_id)

    # -- where a payment stands --------------------------------------------------------------------------------------

    async def _look(self, payment_id: str) -> ProviderAnswer:
        return await self._answer(await self._read(payment_id))

    async def _stands(self, found: stripe.PaymentIntent) -> ProviderAnswer:
        return await self._answer(IntentShown.model_validate(found.to_dict()))

    async def _answer(self, intent: IntentShown) -> ProviderAnswer:
        return answer_of(intent, await self._refunded(intent))

    async def _refunded(self, intent: IntentShown) -> int:
        """What the customer got back, in Stripe's units."""
        charge = intent.latest_charge
        if not isinstance(charge, ChargeShown) or not charge.amount_captured:
            return 0
        if not charge.amount_refunded or not released_of(intent):
            return charge.amount_refunded
        # A part was let go, which counts as refunded too: only a refund of taken money moved our balance.
        return sum(
            found.amount
            for found in await self._refunds(intent.id)
            if found.balance_transaction is not None and found.status not in ("failed", "canceled")
        )

    async def _refunds(self, payment_id: str) -> list[RefundShown]:
        """The newest hundred: who gives one payment back in more parts than that is not us."""
        page = await self._api.refunds.list_async({"payment_intent": payment_id, "limit": 100})
        return [RefundShown.model_validate(found.to_dict()) for found in page.data]

    async def _give_up(self, key: str, intent: IntentShown) -> ProviderAnswer:
        stands = await self._answer(intent)
        if isinstance(stands, Prepared | Authorized | Pending):
            return await self._void(f"{key}.void", intent.id)
        if isinstance(stands, Captured | Refunded):
            if intent.amount_capturable:
                await self._void(f"{key}.void", intent.id)
            if isinstance(stands, Captured):
                rest = stands.captured_minor - stands.refunded_minor
                await self._refund(f"{key}.refund", intent.id, rest)
            return await self._look(intent.id)
        return stands

    async def _asked(
        self,
        payment_id: str | None,
        ask: Callable[[], Awaitable[ProviderAnswer]],
        refused: Refuse,
        kept: Callable[[], Awaitable[ProviderAnswer]] | None = None,
    ) -> ProviderAnswer:
        """`kept`: Stripe keeps its own errors under a key too, and then only the payment can tell what was done."""
        if payment_id is not None and PAYMENT_ID.fullmatch(payment_id) is None:
            return Unknown("no id of Stripe's", payment_id)  # it is a part of the address, and must not lead elsewhere
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                try:
                    return await ask()
                except stripe.CardError as error:
                    return declined_by(error, payment_id)
                except stripe.InvalidRequestError as error:
                    if not is_outcome(error):
                        raise
                    return await refused(error)
                except stripe.APIError as error:
                    if kept is None or not is_kept(error):
                        raise
                    return await kept()
        except NOT_READ as error:
            return unknown_of(error, payment_id)


def _refused_by_name(payment_id: str | None) -> Refuse:
    async def refused(error: stripe.InvalidRequestError) -> ProviderAnswer:
        return Impossible(error_of(error), None, payment_id)

    return refused
