"""What replies are made of, for the OpenAPI page. `views` builds them; a test holds the two together."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.domain.words import Durability

Count = Annotated[int, Field(examples=[7])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2025-11-28T09:30:00.000Z"])]
Next = Annotated[str | None, Field(description="give it as `after` for the items that follow; null: none do")]
Position = Annotated[str, Field(description="opaque", examples=["s0-1-42"])]


class Reply(BaseModel):
    """Has no members beside its own."""

    model_config = ConfigDict(extra="forbid")


class Written(Reply):
    """What every write tells."""

    position: Position
    durability: Annotated[Durability, Field(description="the level that was reached")]
