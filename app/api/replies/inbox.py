"""What became of warehouse events."""

from typing import Annotated, Literal

from pydantic import Field

from app.api.replies.base import Reply
from app.domain.words import Durability


class EventReply(Reply):
    """What became of one event; `event_id` null where none could be read."""

    event_id: str | None
    status: Literal["applied", "duplicate", "parked", "quarantined", "rejected"]
    detail: Annotated[str, Field(description="what was odd about it, or what it waits for")] = ""


class EventsReply(Reply):
    """An answer for each event, in their order."""

    results: list[EventReply]
    durability: Annotated[Durability, Field(description="the level that was reached by what was applied")]
