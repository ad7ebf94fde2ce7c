"""What the shop sells: known to the users, to the judge, and as a CSV file to `sellable import-stock`."""

import csv
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from app.demo import catalogue as demo

FILE_VARIABLE = "LOADTEST_CATALOGUE"
FLASH_SKU = "FLASH-1"
SKUS = 2_000
WAREHOUSES = ("north", "south", "west")
SCARCE_EVERY = 7
"""Every seventh SKU has so little that it sells out while the test runs."""


@dataclass(frozen=True)
class Catalogue:
    """SKUs, the most wanted first, and the units of each; an empty `units` means: nobody knows."""

    skus: list[str]
    units: dict[str, int]
    flash_sku: str

    def __post_init__(self) -> None:
        """Sum the weights once: the second SKU is wanted half as often as the first, the third a third."""
        weights = list(accumulate(1 / rank for rank in range(1, len(self.skus) + 1)))
        object.__setattr__(self, "_weights", weights)

    def wanted(self, count: int) -> list[str]:
        """Distinct SKUs as customers want them, by Zipf's law; at most `count`."""
        weights: list[float] = getattr(self, "_weights")  # noqa: B009 - a frozen dataclass hides it
        return list(dict.fromkeys(random.choices(self.skus, cum_weights=weights, k=count)))


def write(path: Path, *, flash_units: int) -> None:
    """Write the catalogue of a test run."""
    dice = random.Random(1)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["sku", "warehouse", "quantity"])
        out.writerow([FLASH_SKU, WAREHOUSES[0], flash_units])
        for number in range(SKUS):
            for warehouse in dice.sample(WAREHOUSES, dice.randint(1, 3)):
                scarce = number % SCARCE_EVERY == 0
                out.writerow([f"LOAD-{number:05d}", warehouse, dice.randint(1, 20) if scarce else 100_000])


def read() -> Catalogue:
    """The catalogue that the run's file names; without one, the demo's, as `make up` fills it."""
    path = os.environ.get(FILE_VARIABLE)
    if not path:
        codes = demo.skus()
        return Catalogue(codes, {}, codes[0])
    with Path(path).open(encoding="utf-8", newline="") as file:
        return from_rows(csv.DictReader(file))


def from_rows(rows: Iterable[dict[str, str]]) -> Catalogue:
    """Sum the warehouses of each SKU."""
    units: dict[str, int] = {}
    for row in rows:
        units[row["sku"]] = units.get(row["sku"], 0) + int(row["quantity"])
    return Catalogue([sku for sku in units if sku != FLASH_SKU], units, FLASH_SKU)
