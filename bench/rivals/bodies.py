"""What the FastAPI rivals share: the bodies, and a lock's answer."""

import hashlib
import time
from typing import Annotated

import msgspec
from fastapi import Response
from pydantic import BaseModel, Field

JSON = "application/json"
Quantity = Annotated[int, Field(ge=1, le=1_000_000_000)]
Code = Annotated[str, Field(min_length=1, max_length=64)]


class Line(BaseModel):
    """Units of a SKU."""

    sku: Code
    quantity: Quantity


class LockBody(BaseModel):
    """A lock as asked for."""

    lock_id: Code
    lines: Annotated[list[Line], Field(min_length=1, max_length=2000)]
    ttl_seconds: int = 900

    def wanted(self) -> bytes:
        """The lines as JSON."""
        return msgspec.json.encode([(line.sku, line.quantity) for line in self.lines])

    def expires_at_ms(self) -> int:
        """When it ends."""
        return int((time.time() + self.ttl_seconds) * 1000)


def fingerprint_of(wanted: bytes) -> str:
    """What a repeat must have again."""
    return hashlib.sha256(wanted).hexdigest()[:16]


def held(body: LockBody, expires_at_ms: int, status_code: int) -> Response:
    """The answer to a lock that is held: encoded here, since FastAPI's own way through pydantic is slower."""
    lines = [{"sku": line.sku, "quantity": line.quantity, "deducted": 0} for line in body.lines]
    content = {
        "lock_id": body.lock_id,
        "status": "held",
        "expires_at": expires_at_ms,
        "lines": lines,
        "durability": "disk",
    }
    return Response(msgspec.json.encode(content), status_code=status_code, media_type=JSON)


def refused(code: str, status_code: int) -> Response:
    """A refusal."""
    return Response(msgspec.json.encode({"code": code}), status_code=status_code, media_type=JSON)
