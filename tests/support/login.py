"""A login at the broker, and out again. The client library forgets a connection that was refused without closing it."""

from typing import Final

from aio_pika.connection import Connection, make_url

ANSWERED_WITHIN_S: Final = 20.0


async def log_in(amqp_url: str) -> None:
    """Raises AMQPError, or whatever it was that kept us out."""
    connection = Connection(make_url(amqp_url))
    try:
        await connection.connect(timeout=ANSWERED_WITHIN_S)
    finally:
        await connection.close()
