"""Where the running service is: the environment first, then the `run.json` that `sellable up` writes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.embedded.directory import has_owner
from app.errors import ConfigurationError, UnavailableError

RUN_FILE = "run.json"
VARIABLES = {"api": "SELLABLE_API_URL", "redis": "SELLABLE_REDIS_URL", "database": "SELLABLE_DATABASE_URL"}
NOUNS = {"api": "HTTP API", "redis": "hot store", "database": "ledger"}


@dataclass(frozen=True, slots=True)
class Service:
    """The URLs of a running service, each empty when it was not asked for and is not known."""

    api: str
    redis: str
    database: str


def find_service(data_dir: Path, *needs: str, environ: Mapping[str, str] = os.environ) -> Service:
    """The service that commands talk to, with every part of `needs` (`api`, `redis`, `database`) known.

    ConfigurationError when a part is named neither by the environment nor by `<data_dir>/run.json`, or if that
    was left behind: what it names is gone, or belongs to the directory that this one was copied from.
    UnavailableError while the service is starting: `run.json` is written once all of it is ready.
    """
    urls = {part: environ.get(variable, "").strip() for part, variable in VARIABLES.items()}
    if not all(urls[part] for part in needs):
        run = _read_run_file(data_dir / RUN_FILE)
        if run is None and has_owner(data_dir, unsure=False):
            raise UnavailableError(
                f"the service of {data_dir} is still starting: try again once it says that it is ready"
            )
        if run and not has_owner(data_dir):
            raise ConfigurationError(
                f"no running service was found: {data_dir / RUN_FILE} was left behind by one that has ended,"
                f" or was copied; start one with `sellable up`, or set {VARIABLES[needs[0]]}"
            )
        urls = {part: url or _text((run or {}).get(part)) for part, url in urls.items()}
    for part in needs:
        _check_known(part, urls[part], data_dir)
    return Service(api=urls["api"].rstrip("/"), redis=urls["redis"], database=urls["database"])


def api_headers(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What every request of a command carries: the key of SELLABLE_API_KEY, if there is one."""
    key = environ.get("SELLABLE_API_KEY", "").strip()
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError("SELLABLE_API_KEY must be plain printable text")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _read_run_file(path: Path) -> dict[str, Any] | None:
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        is_private = isinstance(error, PermissionError)
        advice = (
            "run this as who runs `sellable up`"
            if is_private
            else "start `sellable up` again, which writes it"
        )
        raise ConfigurationError(f"{path} cannot be read ({reason}): {advice}") from error
    if not isinstance(run, dict):
        raise ConfigurationError(f"{path} does not describe a running service")
    return run


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _check_known(part: str, url: str, data_dir: Path) -> None:
    if not url:
        raise ConfigurationError(
            f"no running service was found: {data_dir / RUN_FILE} does not name its {NOUNS[part]};"
            f" start one with `sellable up`, or set {VARIABLES[part]}"
        )
    if part == "api" and not _is_http(url):
        raise ConfigurationError(
            f"the {NOUNS[part]} is given as '{url}', which is not an http:// or https:// URL"
        )


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # brackets without their other half, a port that is none
        return False
