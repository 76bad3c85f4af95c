"""What the order service hears: the sagas' commands, the facts of all services, a storefront that wants to catch up.

Whatever an order hears ends as lines of its story, written with the change itself.
"""

from services.order.handlers.consumer import consumer, make_consumer

__all__ = ["consumer", "make_consumer"]
