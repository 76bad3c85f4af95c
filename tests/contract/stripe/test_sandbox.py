"""The Stripe of our own, seen by Stripe's SDK: the errors, lists, keys and books that the real one would show."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import stripe

from services.sandbox.stripe.forms import Form, tree_of
from services.sandbox.stripe.ledger import MOVES
from services.sandbox.stripe.refusals import Refusal
from services.sandbox.stripe.server import StripeServer, StripeSettings

pytestmark = pytest.mark.asyncio

API_KEY = "sk_test_of_the_tests"
stripe.enable_telemetry = False


class Shop:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.api = self.client(API_KEY).v1

    def client(self, api_key: str) -> stripe.StripeClient:
        return stripe.StripeClient(
            api_key, base_addresses={"api": self.url}, http_client=stripe.AIOHTTPClient(session=self.session)
        )

    async def pays(self, amount: int = 1000, token: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
        created: Any = {"amount": amount, "currency": "eur", "payment_method": token, "confirm": True, **more}
        return await self.api.payment_intents.create_async(created)

    async def post(self, path: str, form: dict[str, str], key: str = "key") -> tuple[int, bytes, str | None]:
        headers = {"Authorization": f"Bearer {API_KEY}", "Idempotency-Key": key}
        async with self.session.post(self.url + path, data=form, headers=headers) as response:
            assert response.headers["Request-Id"].startswith("req_")
            return response.status, await response.read(), response.headers.get("Idempotent-Replayed")

    async def script(self, what: str, **asked: Any) -> str:
        async with self.session.post(f"{self.url}/script/{what}", json=asked) as told:
            done: str = (await told.json())["done"]
            return done

    async def books(self) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/books") as response:
            books: dict[str, Any] = await response.json()
            return books


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[Shop]:
    server = StripeServer(StripeSettings(api_key=API_KEY, hang_s=0.02))
    async with aiohttp.ClientSession() as session:
        yield Shop(await server.start(), session)
    await server.stop()


CREATE = {"amount": "1000", "currency": "eur"}


class TestKeys:
    async def test_the_same_key_replays_the_same_bytes_and_says_so(self, shop: Shop) -> None:
        first = await shop.post("/v1/payment_intents", CREATE)
        assert (first[0], first[2]) == (200, None)
        assert await shop.post("/v1/payment_intents", dict(reversed(CREATE.items()))) == (200, first[1], "true")

    async def test_a_key_with_other_parameters_is_an_idempotency_error(self, shop: Shop) -> None:
        await shop.post("/v1/payment_intents", CREATE)
        with pytest.raises(stripe.IdempotencyError) as told:
            await shop.api.payment_intents.create_async({"amount": 5, "currency": "eur"}, {"idempotency_key": "key"})
        assert told.value.http_status == 400
        assert len((await shop.books())["payments"]) == 1

    async def test_a_decline_is_kept_under_its_key(self, shop: Shop) -> None:
        declined = {**CREATE, "payment_method": "pm_card_chargeDeclined", "confirm": "true"}
        first = await shop.post("/v1/payment_intents", declined)
        assert first[0] == 402
        assert await shop.post("/v1/payment_intents", declined) == (402, first[1], "true")

    async def test_what_was_refused_before_it_began_leaves_the_key_free(self, shop: Shop) -> None:
        assert (await shop.post("/v1/payment_intents", {"amount": "0", "currency": "eur"}))[0] == 400
        assert (await shop.post("/v1/payment_intents", CREATE))[0] == 200

    async def test_an_error_that_is_kept_is_said_for_ever(self, shop: Shop) -> None:
        await shop.script("fault", operation="create", fault="do_then_error")
        told = [await shop.post("/v1/payment_intents", CREATE) for _ in range(3)]
        assert [(status, replayed) for status, _, replayed in told] == [(500, None), (500, "true"), (500, "true")]
        assert len((await shop.books())["payments"]) == 1


class TestErrors:
    async def test_a_decline_is_a_card_error_with_its_payment(self, shop: Shop) -> None:
        with pytest.raises(stripe.CardError) as told:
            await shop.pays(token="pm_card_chargeDeclinedInsufficientFunds")
        error = told.value
        assert (error.http_status, error.code) == (402, "card_declined")
        assert error.error is not None and error.error.decline_code == "insufficient_funds"
        assert error.error.payment_intent is not None
        assert error.error.payment_intent.status == "requires_payment_method"

    @pytest.mark.parametrize(
        ("form", "param"),
        [
            ({"currency": "eur"}, "amount"),
            ({**CREATE, "amount": "0"}, "amount"),
            ({**CREATE, "amount": "-5"}, "amount"),
            ({**CREATE, "amount": "10.5"}, "amount"),
            ({"amount": "5"}, "currency"),
            ({**CREATE, "currency": "euro"}, "currency"),
            ({**CREATE, "capture_method": "later"}, "capture_method"),
            ({**CREATE, "confirm": "maybe"}, "confirm"),
            ({**CREATE, "payment_method": "pm_nobody_knows"}, "payment_method"),
        ],
    )
    async def test_a_parameter_that_is_wrong_is_named(self, shop: Shop, form: Any, param: str) -> None:
        with pytest.raises(stripe.InvalidRequestError) as told:
            await shop.api.payment_intents.create_async(form)
        assert (told.value.http_status, told.value.param) == (400, param)

    async def test_what_does_not_exist_is_missing(self, shop: Shop) -> None:
        with pytest.raises(stripe.InvalidRequestError) as told:
            await shop.api.payment_intents.retrieve_async("pi_nowhere")
        assert (told.value.http_status, told.value.code) == (404, "resource_missing")
        with pytest.raises(stripe.InvalidRequestError) as told:
            await shop.api.refunds.create_async({"payment_intent": "pi_nowhere"})
        assert (told.value.http_status, told.value.code, told.value.param) == (
            400,
            "resource_missing",
            "payment_intent",
        )
        with pytest.raises(stripe.InvalidRequestError):
            await shop.client(API_KEY).raw_request_async("get", "/v1/unheard_of")

    async def test_a_state_that_does_not_allow_it_is_named_with_the_payment(self, shop: Shop) -> None:
        paid = await shop.pays()
        for call in (shop.api.payment_intents.capture_async, shop.api.payment_intents.cancel_async):
            with pytest.raises(stripe.InvalidRequestError) as told:
                await call(paid.id)
            assert told.value.code == "payment_intent_unexpected_state"
            assert told.value.error is not None and told.value.error.payment_intent is not None
            assert told.value.error.payment_intent.id == paid.id

    async def test_the_api_key_is_checked(self, shop: Shop) -> None:
        with pytest.raises(stripe.AuthenticationError):
            await shop.client("sk_test_guessed").v1.payment_intents.list_async()

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ("error", stripe.APIError),
            ("busy", stripe.RateLimitError),
            ("hang", stripe.APIConnectionError),
            ("do_then_drop", stripe.APIConnectionError),
        ],
    )
    async def test_faults_are_errors_of_the_sdk(self, shop: Shop, fault: str, error: type[Exception]) -> None:
        await shop.script("fault", operation="create", fault=fault)
        with pytest.raises(error):
            await shop.pays()
        assert (await shop.pays()).status == "succeeded"


class TestLists:
    async def test_all_pages_are_walked_newest_first(self, shop: Shop) -> None:
        made = [(await shop.pays()).id for _ in range(7)]
        page = await shop.api.payment_intents.list_async({"limit": 3})
        assert (len(page.data), page.has_more) == (3, True)
        assert [found.id async for found in page.auto_paging_iter()] == made[::-1]
        before = await shop.api.payment_intents.list_async({"ending_before": made[2], "limit": 2})
        assert [found.id for found in before.data] == [made[4], made[3]]

    async def test_lists_are_filtered(self, shop: Shop) -> None:
        first, second = await shop.pays(), await shop.pays()
        await shop.api.refunds.create_async({"payment_intent": first.id, "amount": 100})
        other = await shop.api.refunds.create_async({"payment_intent": second.id})
        refunds = await shop.api.refunds.list_async({"payment_intent": second.id})
        assert [refund.id for refund in refunds.data] == [other.id]
        lines = await shop.api.balance_transactions.list_async({"type": "refund", "created": {"gte": 1}})
        assert sorted(line.amount for line in lines.data) == [-1000, -100]
        none = await shop.api.balance_transactions.list_async({"created": {"lt": 1}})
        assert none.data == []
        events = await shop.api.events.list_async({"type": "charge.refunded"})
        assert len(events.data) == 2

    async def test_a_payment_is_found_by_its_metadata(self, shop: Shop) -> None:
        paid = await shop.pays(metadata={"order": "7"})
        await shop.pays(metadata={"order": "77"})
        found = await shop.api.payment_intents.search_async({"query": 'metadata["order"]:"7"'})
        assert [shown.id for shown in found.data] == [paid.id]


class TestObjects:
    async def test_ids_are_expanded_when_asked(self, shop: Shop) -> None:
        paid = await shop.pays(expand=["latest_charge.balance_transaction"])
        assert isinstance(paid.latest_charge, stripe.Charge)
        assert isinstance(paid.latest_charge.balance_transaction, stripe.BalanceTransaction)
        assert paid.latest_charge.balance_transaction.net == 1000 - (15 + 25)
        assert isinstance((await shop.api.payment_intents.retrieve_async(paid.id)).latest_charge, str)
        charge = await shop.api.charges.retrieve_async(paid.latest_charge.id)
        assert (charge.amount_captured, charge.payment_intent) == (1000, paid.id)

    async def test_refunds_and_disputes_are_read_by_their_ids(self, shop: Shop) -> None:
        paid = await shop.pays()
        made = await shop.api.refunds.create_async({"payment_intent": paid.id, "amount": 300})
        assert (await shop.api.refunds.retrieve_async(made.id)).amount == 300
        dispute_id = await shop.script("dispute", payment_intent=paid.id)
        assert (await shop.api.disputes.retrieve_async(dispute_id)).status == "needs_response"
        assert [found.id for found in (await shop.api.disputes.list_async()).data] == [dispute_id]
        with pytest.raises(stripe.InvalidRequestError) as told:
            await shop.api.refunds.create_async({"payment_intent": paid.id})
        assert told.value.code == "charge_disputed"
        await shop.script("dispute/close", dispute=dispute_id, won=True)
        assert (await shop.api.refunds.create_async({"payment_intent": paid.id})).amount == 700

    async def test_canceling_lets_go_what_is_held_and_counts_it_as_refunded(self, shop: Shop) -> None:
        held = await shop.pays(capture_method="manual")
        assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
        canceled = await shop.api.payment_intents.cancel_async(held.id, {"expand": ["latest_charge"]})
        assert (canceled.status, canceled.amount_capturable) == ("canceled", 0)
        assert isinstance(canceled.latest_charge, stripe.Charge)
        assert (canceled.latest_charge.captured, canceled.latest_charge.amount_refunded) == (False, 1000)

    async def test_a_final_capture_lets_go_the_rest(self, shop: Shop) -> None:
        held = await shop.pays(capture_method="manual")
        captured = await shop.api.payment_intents.capture_async(held.id, {"amount_to_capture": 400})
        assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 400, 0)
        assert [entry["kind"] for entry in (await shop.books())["entries"]] == ["authorize", "capture", "fee", "void"]

    async def test_the_books_balance(self, shop: Shop) -> None:
        await shop.pays(token="pm_sandbox_dispute_won")
        await shop.pays(token="pm_sandbox_dispute_lost", amount=500)
        books = await shop.books()
        [totals] = books["accounts"].values()
        assert sum(totals.values()) == 0
        assert totals["balance"] == sum(line["net"] for line in books["balance_transactions"])
        assert totals["disputed"] == totals["held"] == 0
        assert {(entry["from"], entry["to"]) for entry in books["entries"]} <= set(MOVES.values())


class TestForms:
    async def test_brackets_become_a_tree(self) -> None:
        pairs = [("a", "1"), ("b[c]", "2"), ("b[d][e]", "3"), ("f[]", "4"), ("f[]", "5"), ("g[0]", "6"), ("g[1]", "7")]
        assert tree_of(pairs) == {"a": "1", "b": {"c": "2", "d": {"e": "3"}}, "f": ["4", "5"], "g": ["6", "7"]}

    @pytest.mark.parametrize("body", ["a=1&a[b]=2", "&".join(f"a{n}=1" for n in range(300))])
    async def test_a_form_that_contradicts_itself_or_never_ends_is_refused(self, body: str) -> None:
        with pytest.raises(Refusal):
            Form.of(body)
