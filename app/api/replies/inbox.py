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
    line: Annotated[int | None, Field(description="where it stands in NDJSON, from 1")] = None
    index: Annotated[int | None, Field(description="where it stands in `events`, from 0")] = None


class EventsReply(Reply):
    """An answer for each event, in their order."""

    results: list[EventReply]
    counts: Annotated[dict[str, int], Field(description="how many have each status")]
    durability: Annotated[Durability, Field(description="the level that was reached by what was applied")]
