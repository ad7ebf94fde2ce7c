"""What product pages are told."""

from typing import Literal

from pydantic import Field

from app.api.replies.base import Count, Reply


class SellableIn(Reply):
    """What one warehouse can sell."""

    sellable: Count


class AvailabilityReply(Reply):
    """What a product page shows."""

    sku: str
    sellable: Count
    in_stock: bool
    version: int
    warehouses: dict[str, SellableIn]
    stale: Literal[True] = Field(
        default=True, description="only while the hot store is away: the last known answer"
    )


class AvailabilityListReply(Reply):
    """What a list page shows, in the order asked for."""

    items: list[AvailabilityReply]
    unknown: list[str]
    hint: str = Field(
        default="", description="only where an unknown SKU has a comma, and was maybe meant as several"
    )
