"""The demo catalogue: a few hundred SKUs in three warehouses, with a demand that follows Zipf's law.

Generated, always the same, and marked: every event of it was written by `demo`.
"""

import random
from collections.abc import Iterator
from itertools import accumulate

from app.domain.commands import Confirm, Deduct, Line, Lock, OpeningRow

WHO = "demo"
WAREHOUSES = ("north", "south", "west")
ORDERS = 300
_GOODS = ("TEA", "MUG", "LAMP", "BOOK", "SOAP", "CARD", "BELL", "VASE")
_PER_GOOD = 40
_SEED = 20_101_201


def skus() -> list[str]:
    """Return the SKUs, the most wanted first."""
    return [f"{good}-{number}" for number in range(100, 100 + _PER_GOOD) for good in _GOODS]


def rows() -> list[OpeningRow]:
    """Return the opening stock: much of what is wanted much, and some that is sold out."""
    chance = random.Random(_SEED)  # noqa: S311 - a demo has no secrets
    found = []
    for rank, sku in enumerate(skus(), start=1):
        for warehouse in chance.sample(WAREHOUSES, k=chance.randint(1, 3)):
            plenty = 2_000 // rank + chance.randint(0, 12)
            found.append(
                OpeningRow(sku, warehouse, 0 if chance.random() < 0.05 else plenty, chance.choice([0, 0, 2]))
            )
    return found


def orders() -> Iterator[tuple[Lock, Confirm | None, Deduct | None]]:
    """Yield orders: all are locked, most are paid, some have shipped."""
    chance = random.Random(_SEED + 1)  # noqa: S311 - a demo has no secrets
    catalogue = skus()
    weights = list(accumulate(1 / rank for rank in range(1, len(catalogue) + 1)))
    for number in range(1, ORDERS + 1):
        wanted = chance.choices(catalogue, cum_weights=weights, k=chance.randint(1, 4))
        lock_id = f"demo-order-{number}"
        lock = Lock(lock_id, tuple(Line(sku, chance.randint(1, 3)) for sku in wanted))
        paid, shipped = chance.random() < 0.8, chance.random() < 0.6
        yield (
            lock,
            Confirm(lock_id) if paid else None,
            Deduct(lock_id, f"{lock_id}-1") if paid and shipped else None,
        )
