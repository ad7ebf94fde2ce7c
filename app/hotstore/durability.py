"""How durable the server is, as the worker says it: it may read CONFIG, and the API's user may not."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.domain.words import Durability

SECONDS_MAX = 5
"""How long such a statement counts; the worker renews it every second."""


class Server(NamedTuple):
    """Which server answered: its run id, the epoch of its memory, and when that was by its own clock, in ms."""

    run_id: str = ""
    epoch: str = ""
    at_ms: int = 0


def statement(level: Durability, server: Server) -> dict[str, Any]:
    """Return what the worker publishes: the level that a server gives, and which server it has asked when."""
    return {"level": level, **server._asdict()}


def level_stated(worker_status: str | None, server: Server) -> Durability:
    """Return the level that the worker states for this very server, in this epoch, just now; else `memory`.

    The statement stands in the memory, which a restarted or promoted server has too: but their run ids differ.
    """
    stated = _read(worker_status)
    is_about_it = (stated.get("run_id"), stated.get("epoch")) == (server.run_id, server.epoch)
    at_ms = stated.get("at_ms")
    is_fresh = isinstance(at_ms, int) and abs(server.at_ms - at_ms) <= SECONDS_MAX * 1000
    return "disk" if stated.get("level") == "disk" and is_about_it and is_fresh else "memory"


def _read(worker_status: str | None) -> Mapping[str, Any]:
    try:
        stated = json.loads(worker_status or "{}").get("durability")
    except (ValueError, AttributeError):
        return {}
    return stated if isinstance(stated, dict) else {}
