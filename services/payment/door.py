"""The door for a provider's webhooks: what is proven becomes a message and is answered when that is committed."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from aiohttp import web

from contracts.message import Message
from services.payment.provider.port import BadNotice, BadSignature, Notices, Uninteresting
from services.payment.webhook import came, read, told_by

Submit = Callable[[Message], Awaitable[None]]
Door = Callable[[web.Request], Awaitable[web.Response]]


def door(provider: str, reader: Notices, submit: Submit) -> Door:
    """A forged one is refused here, and not kept: anybody may knock."""

    async def webhook(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            told = came(provider, reader, request.headers, body, datetime.now(UTC))
            told_by(read(told, reader), provider)
        except BadSignature:
            return web.json_response({"error": "bad_signature"}, status=401)
        except BadNotice as bad:
            return web.json_response({"error": "bad_notice", "detail": str(bad)[:500]}, status=400)
        except Uninteresting:
            return web.json_response({"heard": False})
        await submit(told)  # until then the provider keeps it
        return web.json_response({"heard": True})

    return webhook
