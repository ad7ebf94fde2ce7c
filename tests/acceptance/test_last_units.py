"""Two hundred clients want one unit each, and there are a hundred."""

import asyncio

import httpx

from tests.acceptance.service import Service

CLIENTS, UNITS = 200, 100


async def test_exactly_as_many_locks_as_units(service: Service) -> None:
    service.open_stock(("last", "north", UNITS))
    begin = asyncio.Event()
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=service.url(""), verify=False, timeout=60, limits=limits) as http:  # noqa: S501

        async def order(number: int) -> httpx.Response:
            await begin.wait()
            lines = [{"sku": "last", "quantity": 1}]
            return await http.post("/v1/locks", json={"lock_id": f"last-{number}", "lines": lines})

        clients = [asyncio.create_task(order(number)) for number in range(CLIENTS)]
        begin.set()
        answers = await asyncio.gather(*clients)
    won = [answer.json() for answer in answers if answer.status_code == 201]
    lost = [answer for answer in answers if answer.status_code == 409]
    assert (len(won), len(lost)) == (UNITS, CLIENTS - UNITS)
    assert {lock["lock_id"] for lock in won} <= {f"last-{number}" for number in range(CLIENTS)}
    assert len({lock["position"] for lock in won}) == UNITS
    for answer in lost:
        told = answer.json()
        assert told["code"] == "insufficient_stock"
        assert told["shortages"] == [{"sku": "last", "requested": 1, "sellable": 0}]
    assert service.stock("last")["north"] == {
        "on_hand": UNITS, "available": 0, "locked": UNITS, "damaged": 0, "in_transit": 0, "buffer": 0, "sellable": 0,
    }  # fmt: skip
    assert service.get("/v1/availability/last").json()["in_stock"] is False
    assert "no difference" in service.verify()
