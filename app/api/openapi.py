"""The OpenAPI page: which errors a route may answer, and as what."""

from typing import Any

from fastapi import FastAPI

from app.api import problems
from app.api.events import EVENT_SCHEMA
from app.api.replies.problems import ProblemReply

DESCRIPTION = """
Knows, for every SKU and warehouse, how many units can still be sold.

Times are RFC 3339 UTC, quantities are integers. A SKU or an id in a path is percent-encoded (`%2F` works).
Errors are `application/problem+json` with a stable `code`:

| code | status | |
|---|---|---|
"""

Responses = dict[int | str, dict[str, Any]]


def description() -> str:
    """Return the page's text, with every code."""
    rows = (f"| `{code}` | {status} | {title} |" for code, (status, title) in problems.TITLES.items())
    return DESCRIPTION.lstrip() + "\n".join(rows)


EDGE = (
    "malformed_request",
    "forbidden_host",
    "request_timeout",
    "uri_too_long",
    "head_too_large",
    "too_many_connections",
)
"""What is refused before a route is known."""


ELSEWHERE = " elsewhere"
"""Follows a code that has another status here than it mostly has."""
UNKNOWN_SKU = f"unknown_sku{ELSEWHERE}"
"""Of a SKU in a body."""
UNKNOWN_PLACE = f"unknown_warehouse{ELSEWHERE}"
"""Of a warehouse in a path."""


def errors(*codes: str) -> Responses:
    """Return the documented errors of a route, by status; those of any request are among them."""
    by_status: dict[int, list[str]] = {}
    for code in (*EDGE, *codes):
        name = code.removesuffix(ELSEWHERE)
        status = problems.TITLES[name][0] if name == code else problems.ELSEWHERE[name]
        by_status.setdefault(status, []).append(f"`{name}`")
    return {
        status: {"model": ProblemReply, "description": ", ".join(found)}
        for status, found in sorted(by_status.items())
    }


COMMON = ("unauthorized", "forbidden", "too_many_requests", "invalid_request", "internal_error")
BODY = ("payload_too_large", "unsupported_media_type", "unsupported_encoding")
READ = (*COMMON, "not_ready", "outcome_unknown")
WRITE = (*READ, *BODY, "backlog_full", "hot_store_full")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the schema: errors with the media type they are sent with, keys only where keys are set."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _as_problems(operation["responses"])
                if app.state.keys.open:
                    operation.pop("security", None)
        schema.setdefault("components", {}).setdefault("schemas", {})["WarehouseEvent"] = EVENT_SCHEMA
        for name, shape in schema.get("components", {}).get("schemas", {}).items():
            if name.endswith("Reply"):
                _without_defaults(shape)
    return app.openapi_schema or {}


def _without_defaults(shape: dict[str, Any]) -> None:
    """A member of a reply that has a default is one that may be absent; the default itself is never told."""
    for member in shape.get("properties", {}).values():
        member.pop("default", None)


def _as_problems(responses: dict[str, Any]) -> None:
    for status, response in responses.items():
        content = response.get("content", {})
        if status >= "400" and "application/json" in content:
            content[problems.MEDIA_TYPE] = content.pop("application/json")
