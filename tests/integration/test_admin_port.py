"""A port of its own for /metrics and /docs: nothing else is there, and they are nowhere else."""

import socket

import httpx

from app.commands.address import bind
from tests import servers
from tests.hot import served

KEYS = "boss:administrator-0123456789:admin,reader:reader-0123456789:read,shop:shop-0123456789:checkout"
ADMIN = ("/metrics", "/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css")
REST = ("/v1/availability/A", "/v1/availability?sku=A", "/v1/stock/A", "/v1/locks/none")


def test_each_port_has_its_own() -> None:
    with (
        servers.valkey(appendfsync="no") as server,
        socket.create_server(("127.0.0.1", 0)) as admin,
        served(server.url, ["protocol"], api_keys=KEYS, admin=admin) as (_loop, (api,)),
        httpx.Client(headers={"Authorization": "Bearer administrator-0123456789"}, timeout=60) as boss,
        httpx.Client(timeout=60) as nobody,
    ):
        here, there = (f"http://127.0.0.1:{port}" for port in (api.port, admin.getsockname()[1]))
        for path in ADMIN:
            assert nobody.get(there + path).status_code == 200, path
            for client in (boss, nobody):
                assert client.get(here + path).json()["code"] == "not_found", path
        for path in REST:
            assert boss.get(here + path).json().get("code") in {None, "unknown_lock", "unavailable"}, path
            for _ in range(3):  # also once the short way knows the request
                assert boss.get(there + path).json()["code"] == "not_found", path
        lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 1}]}
        assert boss.post(f"{there}/v1/locks", json=lock).json()["code"] == "not_found"
        for url in (here, there):
            assert nobody.get(f"{url}/livez").status_code == nobody.get(f"{url}/readyz").status_code == 200


def test_processes_of_one_service_share_it() -> None:
    (one,) = bind("127.0.0.1", 0, shared=True)
    with one:
        (other,) = bind("127.0.0.1", one.getsockname()[1], shared=True)
        other.close()
