"""`sellable explain` and `sellable ledger check` as somebody at a terminal uses them."""

import json

import pytest

from tests.acceptance.service import Service
from tests.servers import until


@pytest.mark.tier
def test_explain_tells_where_every_unit_is(service: Service) -> None:
    service.open_stock(("explained", "north", 20))
    assert service.lock("explained-1", ("explained", 3)).status_code == 201
    shipped = service.post("/v1/locks/explained-1/deduct", {"shipment_id": "s"})
    assert shipped.status_code == 200
    text = service.sellable("explain", "explained")
    assert text.returncode == 0, text.stderr
    lines = text.stdout.splitlines()
    assert lines[0] == "SKU explained, version 3"
    assert [line.split() for line in lines[1:5]] == [
        ["17", "north", "available"],
        ["3", "customer"],
        ["-20", "adjustment"],
        ["0", "in", "all"],
    ]
    assert "north locked -> north customer  deduct of lock explained-1" in lines[6]
    listed = json.loads(service.sellable("explain", "explained", "--json").stdout)
    assert listed == service.get("/v1/stock/explained/explain").json()
    at = listed["items"][-1]["recorded_at"]
    then = service.sellable("explain", "explained", "--as-of", at, "--moves", "1")
    assert then.stdout.splitlines()[1].split() == ["20", "north", "available"]


@pytest.mark.tier
def test_what_explain_refuses(service: Service) -> None:
    until(service.persisted)
    for arguments, code, sentence in (
        (("nobody",), 1, "no SKU is called nobody"),
        (("x", "--as-of", "2999-01-01T00:00:00Z"), 2, "must not be in the future"),
    ):
        done = service.sellable("explain", *arguments)
        said = " ".join(done.stderr.replace("│", " ").split())
        assert (done.returncode, sentence in said) == (code, True), done.stderr


@pytest.mark.tier
def test_the_ledger_is_whole(service: Service) -> None:
    service.open_stock(("checked", "north", 20))
    until(service.persisted)
    done = service.sellable("ledger", "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("the ledger is whole\n")
    service.sql("UPDATE move SET quantity = 19 WHERE sku = 'checked'")
    done = service.sellable("ledger", "check", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["faults"] == len(told["items"]) == 2
    assert {one["what"].split()[0] for one in told["items"]} == {"SKU", "event"}
    service.sql("UPDATE move SET quantity = 20 WHERE sku = 'checked'")
