"""`sellable settings`: every setting, its default, its unit, and the promise that it touches."""

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.addresses.postgres import read_postgres
from app.addresses.redis import read_redis
from app.addresses.url import MASK, masked
from app.api.api_keys import keys_of
from app.settings import Settings, read_settings

if TYPE_CHECKING:
    from rich.table import Table

LINE_CHARS = 160
_SECRET_WORDS = re.compile(r"KEYS?$|SECRET|PASSWORD|TOKEN")


@dataclass(frozen=True, slots=True)
class Described:
    """One setting; `name` is its environment variable, `value` what that holds now (None: not set)."""

    name: str
    default: str
    unit: str
    promise: str
    description: str
    value: str | None


def settings(*, as_json: bool = False, environ: Mapping[str, str] = os.environ) -> int:
    """Print every setting as a table, or as a JSON list of objects; secrets are masked. Returns 0.

    Raises `ConfigurationError` at the end if a process would refuse to start with them.
    """
    described = describe_settings(environ)
    if as_json:
        print(json.dumps([asdict(one) for one in described], indent=2, ensure_ascii=False))
    else:
        from rich.console import Console  # noqa: PLC0415 - only the table needs it

        Console(width=None if sys.stdout.isatty() else LINE_CHARS).print(_table(described))
    sys.stdout.flush()  # before the sentence about what is refused
    refuse_unusable(read_settings())
    return 0


def refuse_unusable(found: Settings) -> None:
    """Raise `ConfigurationError` for what is read only where it is used: the keys, and the URLs that are set."""
    keys_of(found)
    if found.redis_url:
        read_redis(found.redis_url)
    if found.database_url:
        read_postgres(found.database_url)


def describe_settings(environ: Mapping[str, str]) -> list[Described]:
    """Every setting of the project, in the order in which the code gives them."""
    return [_describe(name, field, environ) for name, field in Settings.model_fields.items()]


def _describe(name: str, field: FieldInfo, environ: Mapping[str, str]) -> Described:
    variable = f"{Settings.model_config.get('env_prefix', '')}{name}".upper()
    extra: Mapping[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    secret = "SecretStr" in repr(field.annotation) or bool(_SECRET_WORDS.search(variable))
    is_url = variable.endswith("_URL")  # one that is none, such as `host=… password=…`, shows nothing of it
    value = environ.get(variable)
    return Described(
        name=variable,
        default=_shown(field.get_default(call_default_factory=True, validated_data={}), secret=secret),
        unit=str(extra.get("unit", "")),
        promise=str(extra.get("promise", "")),
        description=field.description or "",
        value=None if value is None else _shown(value, secret=secret, is_url=is_url),
    )


def _shown(value: object, *, secret: bool, is_url: bool = False) -> str:
    """The value as it would stand in the environment, without what must not be read over a shoulder."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", (), []):
        return ""
    if secret:
        return MASK
    if isinstance(value, (tuple, list, frozenset)):
        return ",".join(map(str, value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if is_url and "://" not in text:
        return MASK
    return masked(text) if "://" in text else text


def _table(described: list[Described]) -> "Table":
    from rich.table import Table  # noqa: PLC0415 - only the table needs it
    from rich.text import Text  # noqa: PLC0415

    table = Table("setting", "default", "unit", "promise", "what it does")
    table.columns[0].no_wrap = True
    for one in described:
        what = one.description if one.value is None else f"{one.description} (now: {one.value})"
        # Plain text: a default such as [::1] is not markup.
        table.add_row(*map(Text, (one.name, one.default, one.unit, one.promise, what)))
    return table
