"""Opening stock: what is on the shelf when the books begin."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpeningRow:
    """`on_hand` units of a SKU in a warehouse; `buffer` None leaves the safety stock as it is."""

    sku: str
    warehouse: str
    on_hand: int
    buffer: int | None
