"""Warehouses, as they are listed."""

from pydantic import Field

from app.api.replies.base import Count, Next, Reply
from app.domain.words import Durability


class WarehouseReply(Reply):
    """A warehouse as it was listed."""

    code: str
    name: str
    rank: int | None
    closed: bool
    durability: Durability = Field(description="the level that was reached")


class UnitsReply(Reply):
    """What is in a warehouse; `on_hand` has the available and the locked units."""

    skus: Count
    on_hand: int
    available: int
    locked: int
    damaged: int
    in_transit: int


class StockedWarehouseReply(Reply):
    """A warehouse, with what is in it."""

    code: str
    name: str
    rank: int | None
    closed: bool
    units: UnitsReply


class WarehouseListReply(Reply):
    """Warehouses by code."""

    items: list[StockedWarehouseReply]
    next: Next
