"""The books of the sandbox's provider outlive its server: keys, tombstones, settlements due and notices to be sent."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.payment.provider.port import Captured, Pending, Unknown
from tests.support.provider_rigs import PATIENCE_S
from tests.support.sandbox_wire import REQUEST, Start

pytestmark = pytest.mark.asyncio


class TestBooksThatSurvive:
    async def test_answers_keys_and_tombstones_outlive_the_server(self, start: Start, tmp_path: Path) -> None:
        books = str(tmp_path / "books.sqlite")
        before = await start(books=books)
        answer = await before.provider.authorize("a", REQUEST)
        assert isinstance(await before.provider.authorize("b", replace(REQUEST, token="tok_do_then_timeout")), Unknown)
        assert isinstance(await before.provider.authorize("c", replace(REQUEST, token="tok_error")), Unknown)
        await before.provider.withdraw("w", "d")
        entries = (await before.books())["entries"]
        await before.server.stop()

        after = await start(books=books)
        assert (await after.books())["entries"] == entries
        assert await after.provider.authorize("a", REQUEST) == answer
        assert isinstance(await after.provider.authorize("b", replace(REQUEST, token="tok_do_then_timeout")), Captured)
        assert (await after.books())["entries"] == entries
        assert isinstance(await after.provider.authorize("c", replace(REQUEST, token="tok_error")), Unknown)
        assert isinstance(await after.provider.authorize("c", replace(REQUEST, token="tok_error")), Captured)
        assert getattr(await after.provider.authorize("d", REQUEST), "reason", None) == "withdrawn"

    async def test_what_an_answer_says_is_in_the_file_when_it_is_said(self, start: Start, tmp_path: Path) -> None:
        rig = await start(books=str(tmp_path / "books.sqlite"))
        await asyncio.gather(*(rig.provider.authorize(f"a{n}", REQUEST) for n in range(10)))
        other = sqlite3.connect(tmp_path / "books.sqlite")  # sees committed rows only
        assert other.execute("SELECT count(*) FROM payments").fetchone() == (10,)
        assert other.execute("SELECT count(*) FROM entries").fetchone() == (20,)
        other.close()

    @pytest.mark.parametrize("statement", ["DELETE FROM entries", "UPDATE entries SET amount_minor = 1"])
    async def test_an_entry_is_for_ever(self, start: Start, tmp_path: Path, statement: str) -> None:
        rig = await start(books=str(tmp_path / "books.sqlite"))
        await rig.provider.authorize("a", REQUEST)
        other = sqlite3.connect(tmp_path / "books.sqlite")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(statement)
        other.close()

    async def test_a_settlement_that_was_due_while_it_was_down_happens_at_the_next_start(
        self, start: Start, tmp_path: Path
    ) -> None:
        books = str(tmp_path / "books.sqlite")
        before = await start(books=books, settle_after_s=3600.0)
        request = replace(REQUEST, token="tok_pending_then_paid", webhook_url=before.webhook_url)
        answer = await before.provider.authorize("a", request)
        assert isinstance(answer, Pending)
        await before.server.stop()
        other = sqlite3.connect(books)
        with other:
            other.execute("UPDATE payments SET settles_at = ?", ((datetime.now(UTC) - timedelta(hours=1)).isoformat(),))
        other.close()

        after = await start(books=books)
        async with asyncio.timeout(PATIENCE_S):
            notice = await before.receiver.notices.get()
        assert notice.answer == await after.provider.find(answer.provider_payment_id)
        assert isinstance(notice.answer, Captured)

    async def test_a_notice_that_did_not_arrive_is_sent_at_the_next_start(self, start: Start, tmp_path: Path) -> None:
        books = str(tmp_path / "books.sqlite")
        before = await start(books=books, webhook_first_delay_s=3600.0, webhook_longest_delay_s=3600.0)
        before.receiver.answers = [500]
        request = replace(REQUEST, token="tok_webhook_first", webhook_url=before.webhook_url)
        await before.provider.authorize("a", request)
        first = before.receiver.notices.get_nowait()  # the first try was made before the answer
        await before.server.stop()

        await start(books=books)
        async with asyncio.timeout(PATIENCE_S):
            assert await before.receiver.notices.get() == first
