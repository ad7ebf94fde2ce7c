"""Sending snapshots to a house, and reading what their comparison came to."""

import asyncio
from typing import Any

import httpx

from tests.integration.warehouse import House, text_of


async def send(
    house: House, body: str | bytes, at: int | str, kind: str = "text/csv", **query: Any
) -> httpx.Response:
    params = {"warehouse": "north", "as_of": at if isinstance(at, str) else text_of(at), **query}
    return await house.http.post(
        "/v1/reconciliations", content=body, params=params, headers={"content-type": kind}
    )


async def done(house: House, reconciliation_id: str, *, by_worker: bool = False) -> dict[str, Any]:
    """Wait for it; unless the worker is to do it, do it here at once, as `sellable reconcile` does."""
    async with asyncio.timeout(30):
        while True:
            if not by_worker:
                await house.stores.reconcile().run_once(reconciliation_id)
            told = (await house.http.get(f"/v1/reconciliations/{reconciliation_id}")).json()
            if told["status"] != "running":
                assert told["status"] == "done", told
                return dict(told)
            await asyncio.sleep(0.02)


async def reconciled(house: House, body: str, at: int, **more: Any) -> dict[str, Any]:
    answer = await send(house, body, at, **more)
    assert answer.status_code == 202, answer.text
    return await done(house, answer.json()["reconciliation_id"])


def differences(told: dict[str, Any]) -> dict[tuple[str, str], tuple[str, str, int, int, int]]:
    return {
        (one["sku"], one["state"]): (
            one["kind"], one["cause"], one["expected"], one["counted"], one["difference"],
        )
        for one in told["discrepancies"]
    }  # fmt: skip
