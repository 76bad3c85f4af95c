"""What customers want: a few goods very often, most hardly ever (Zipf), from a seed."""

import random
from bisect import bisect_left
from itertools import accumulate
from typing import Final

import orjson

from services.sandbox.carts import Line, cart

EXPONENT: Final = 1.0
"""Of 10,000 goods the first is a tenth of what is wanted, the first hundred are half."""
PREBUILT: Final = 20_000
"""Different carts; after the last one they begin again."""


def sku(number: int) -> str:
    return f"SKU-{number:05d}"


class Zipf:
    """Draws 0 … n-1; the k-th with a weight of 1 / k ** exponent."""

    def __init__(self, n: int, exponent: float = EXPONENT) -> None:
        self._cumulative = list(accumulate(1 / rank**exponent for rank in range(1, n + 1)))

    def draw(self, rng: random.Random) -> int:
        return bisect_left(self._cumulative, rng.random() * self._cumulative[-1])

    def two(self, rng: random.Random) -> tuple[int, int]:
        """Two different ones."""
        first = second = self.draw(rng)
        while second == first:
            second = self.draw(rng)
        return first, second


def carts(skus: int, seed: int, count: int = PREBUILT) -> list[bytes]:
    """JSON bodies of two lines each, all but the opening brace and the checkout's id: `body` adds those."""
    rng, zipf = random.Random(seed), Zipf(skus)
    return [_without_id(rng, [Line(sku(number), rng.randint(1, 2)) for number in zipf.two(rng)]) for _ in range(count)]


def one_of(wanted: str, seed: int, count: int = 100) -> list[bytes]:
    """Everybody wants one unit of the same."""
    rng = random.Random(seed)
    return [_without_id(rng, [Line(wanted, 1)]) for _ in range(count)]


def body(prebuilt: bytes, checkout_id: str) -> bytes:
    return b'{"checkout_id":"' + checkout_id.encode() + b'",' + prebuilt


def _without_id(rng: random.Random, lines: list[Line]) -> bytes:
    checkout = cart(rng, "", lines=lines)
    del checkout["checkout_id"]
    return orjson.dumps(checkout)[1:]
