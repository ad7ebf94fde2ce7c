"""A file of orders, and an oracle that says what a shop must answer: plain sums, nothing of the service's code.

It knows rows whose warehouse is named, or whose SKU lies in one warehouse only: there is nothing to choose then.
"""

import csv
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Place = tuple[str, str]
"""SKU and warehouse."""


class Row(NamedTuple):
    order_id: str
    sku: str
    quantity: int
    occurred_at: str
    warehouse: str = ""
    kind: str = "order"
    reason: str = ""


class Opening(NamedTuple):
    sku: str
    warehouse: str
    quantity: int
    buffer: int = 0


@dataclass
class Shop:
    """What is on the shelves, and what became of each order."""

    on_hand: Counter[Place] = field(default_factory=Counter)
    buffer: dict[Place, int] = field(default_factory=dict)
    shipped: set[str] = field(default_factory=set)
    refused: dict[str, dict[Place, tuple[int, int]]] = field(default_factory=dict)
    homes: dict[str, set[str]] = field(default_factory=dict)
    booked: set[tuple[str, str]] = field(default_factory=set)
    shortages: int = 0

    def open(self, rows: Iterable[Opening]) -> None:
        for row in rows:
            self._put(row.sku, row.warehouse, row.quantity)
            self.buffer[row.sku, row.warehouse] = row.buffer

    def trade(self, rows: Iterable[Row]) -> None:
        """Every document in the order of its first row; what was done before is not done again."""
        documents: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            documents.setdefault((row.order_id, row.kind), []).append(row)
        for (order_id, kind), lines in documents.items():
            if kind == "order":
                self._order(order_id, lines)
            elif (order_id, kind) not in self.booked:
                self.booked.add((order_id, kind))
                for line in lines:
                    self._put(line.sku, line.warehouse or self._only(line.sku) or "main", line.quantity)

    def short_of(self, lines: list[Row]) -> dict[Place, tuple[int, int]]:
        """What an order asks for and cannot have: (asked, sellable), by SKU and the warehouse as it was given."""
        asked: Counter[Place] = Counter()
        for line in lines:
            asked[line.sku, line.warehouse] += line.quantity
        short = {}
        for (sku, named), quantity in asked.items():
            place = sku, named or self._only(sku)
            sellable = max(0, self.on_hand[place] - self.buffer.get(place, 0))
            if quantity > sellable:
                short[sku, named] = quantity, sellable
        return short

    def _order(self, order_id: str, lines: list[Row]) -> None:
        if order_id in self.shipped:
            return
        if short := self.short_of(lines):
            self.refused[order_id] = short
            self.shortages += len(short)
            return
        self.refused.pop(order_id, None)
        self.shipped.add(order_id)
        for line in lines:
            self.on_hand[line.sku, line.warehouse or self._only(line.sku)] -= line.quantity

    def _put(self, sku: str, warehouse: str, quantity: int) -> None:
        self.on_hand[sku, warehouse] += quantity
        self.homes.setdefault(sku, set()).add(warehouse)

    def _only(self, sku: str) -> str:
        there = self.homes.get(sku, set())
        assert len(there) <= 1, f"{sku} is in {there}: the oracle does not choose"
        return next(iter(there), "")


def read_orders(file: Path) -> list[Row]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [
            Row(
                row["order_id"],
                row["sku"],
                int(row["quantity"]),
                row["occurred_at"],
                row.get("warehouse") or "",
                row["kind"] or "order",
                row["reason"],
            )
            for row in csv.DictReader(lines)
        ]


def read_opening(file: Path) -> list[Opening]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [Opening(row["sku"], row["warehouse"], int(row["quantity"])) for row in csv.DictReader(lines)]


def write(file: Path, kind: type[Row] | type[Opening], rows: Iterable[Row | Opening]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as lines:
        out = csv.writer(lines)
        out.writerow(kind._fields)
        out.writerows(rows)
    return file


def generate(prefix: str, *, orders: int, seed: int) -> tuple[list[Opening], list[Row]]:
    """An opening stock and the orders of a small shop that runs out of things; codes begin with `prefix`.

    Half of the SKUs lie in two warehouses, and their rows name one. Every tenth document is a return, every
    fifteenth an adjustment, some of them of more than is there.
    """
    chance = random.Random(seed)
    codes = [f"{prefix}{name}" for name in ("tea 1", "85123a", "85123A", "A/12", "ä", "50%", "b#?&", "last")]
    warehouses = {sku: ["north", "south"] if number % 2 else ["north"] for number, sku in enumerate(codes)}
    opening = [
        Opening(sku, warehouse, chance.randint(1, orders // 3), chance.choice([0, 0, 3]))
        for sku in codes
        for warehouse in warehouses[sku]
    ]
    rows: list[Row] = []
    for number in range(orders):
        at = f"2025-01-31T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        kind = "return" if number % 10 == 9 else "adjustment" if number % 15 == 14 else "order"
        for _ in range(chance.randint(1, 4) if kind == "order" else 1):
            sku = chance.choice(codes)
            named = chance.choice(warehouses[sku]) if len(warehouses[sku]) > 1 else ""
            quantity = chance.choice([-60, -2, -1, 1, 2]) if kind == "adjustment" else chance.randint(1, 6)
            rows.append(Row(f"{prefix}{number}", sku, quantity, at, named, kind, "counted"))
    return opening, rows
