"""Shortages, and what became of resolving one."""

from typing import Annotated

from pydantic import Field

from app.api.replies.base import Count, Next, Reply, Time, Written
from app.domain.words import LockStatus
from app.operations.shortages import Broken


class PromiseReply(Reply):
    """Units that an open lock holds of the case's SKU in its warehouse."""

    lock_id: str
    status: LockStatus
    units: Count


class RemedyReply(Reply):
    """Units that another warehouse can spare: a transfer from there would fill the gap."""

    source: Annotated[str, Field(alias="from", examples=["south"])]
    quantity: Count


class ShortageCaseReply(Reply):
    """A case: less is on the shelf than is promised. It closes by itself when there is enough again."""

    shortage_id: str
    sku: str
    warehouse: str
    units: int = Field(description="how many are short now", examples=[3])
    opened_at: Time
    locks: list[PromiseReply] = Field(description="the open locks concerned, latest first; the first 100")
    suggested: list[str] = Field(description="the locks to break until nothing is short, by a setting")
    transfers: list[RemedyReply] = Field(description="what other warehouses could send instead, as of now")


class ShortageCaseListReply(Reply):
    """The open cases by id."""

    items: list[ShortageCaseReply]
    next: Next


class ResolvedLockReply(Reply):
    """What became of a lock: `unchanged` holds nothing of it (any more), or the case is closed."""

    lock_id: str
    outcome: Broken
    units: int


class ResolvedReply(Written):
    """What resolving came to."""

    shortage_id: str
    sku: str
    warehouse: str
    results: list[ResolvedLockReply]
