"""Every setting, once: built at the start, passed down, never read as a global."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Durability = Literal["memory", "disk", "replica", "ledger"]


def _setting(default: object, description: str, *, unit: str = "", promise: str = "", **limits: object) -> object:
    extra = {"unit": unit, "promise": promise}
    return Field(default, description=description, json_schema_extra=extra, **limits)  # type: ignore[call-overload]


class Settings(BaseSettings):
    """The settings of one process, from the environment (`SELLABLE_…`)."""

    model_config = SettingsConfigDict(env_prefix="SELLABLE_", extra="ignore", frozen=True)

    redis_url: str = _setting("", "the hot store; empty: the embedded one of run.json")  # type: ignore[assignment]
    database_url: str = _setting("", "the ledger; empty: the embedded one of run.json")  # type: ignore[assignment]
    api_url: str = _setting("", "where commands find the HTTP API; empty: run.json")  # type: ignore[assignment]
