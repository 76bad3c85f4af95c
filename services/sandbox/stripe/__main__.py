"""`python -m services.sandbox.stripe`: prints its address and serves until told to end."""

import argparse

from services.sandbox.serving import serve
from services.sandbox.stripe.server import StripeServer, StripeSettings


def main() -> None:
    parser = argparse.ArgumentParser(description="A Stripe whose outcomes are scripted by payment method.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes any free port; the address is printed")
    given = parser.parse_args()
    # Everything else, the two secrets included, comes from SANDBOX_STRIPE_… variables.
    serve(lambda: StripeServer(StripeSettings(host=given.host, port=given.port)))


if __name__ == "__main__":
    main()
