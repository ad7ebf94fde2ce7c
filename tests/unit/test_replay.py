import asyncio
import csv
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import uvicorn

from app.commands import replay_client
from app.commands.replay import Pace, replay
from app.errors import SellableError, UnavailableError

AT = "2025-01-31T08:30:00Z"
HEADER = "order_id,sku,quantity,occurred_at,warehouse,kind,reason\n"


class Service:
    """As much of the HTTP API as a replay meets, with stock in one dict."""

    def __init__(self) -> None:
        self.stock: dict[str, int] = {}
        self.warehouses: dict[str, list[str]] = {}
        self.locks: dict[str, dict[str, Any]] = {}
        self.posted: list[tuple[str, Any]] = []
        self.troubles: list[tuple[int, str, str]] = []
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}
        self.keys: set[str] = set()
        self.in_flight = self.in_flight_max = 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if path in self.refusals:
            return self.refusals[path]
        parts = [unquote(part) for part in path.split("/")[2:]]
        if method == "GET":
            names = self.warehouses.get(parts[1])
            if not names:
                return 404, {"code": "unknown_sku"}
            return 200, {"warehouses": {name: {} for name in names}}
        self.posted.append((path, body))
        if parts[0] != "locks" or len(parts) == 3:
            return 200, {}
        return self._lock(body)

    def _lock(self, body: Any) -> tuple[int, dict[str, Any]]:
        if body["lock_id"] in self.locks:
            return 200, {"status": "held", "current_status": "deducted"}
        wanted: dict[str, int] = {}
        for line in body["lines"]:
            wanted[line["sku"]] = wanted.get(line["sku"], 0) + line["quantity"]
        short = [{"sku": sku} for sku, units in wanted.items() if self.stock.get(sku, 0) < units]
        if short:
            return 409, {"code": "insufficient_stock", "shortages": short}
        for sku, units in wanted.items():
            self.stock[sku] -= units
        self.locks[body["lock_id"]] = body
        return 201, {"status": "held"}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.keys.update(value.decode() for name, value in scope["headers"] if name == b"authorization")
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await asyncio.sleep(0.001)
        self.in_flight -= 1
        headers = []
        if self.troubles:
            status, code, retry_after = self.troubles.pop(0)
            answer: dict[str, Any] = {"code": code}
            headers = [(b"retry-after", retry_after.encode())]
        else:
            path = scope["raw_path"].decode()
            status, answer = self.answer(scope["method"], path, json.loads(body) if body else None)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    @property
    def lock_order(self) -> list[str]:
        return [body["lock_id"] for path, body in self.posted if path == "/v1/locks"]


@pytest.fixture
def service(held_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    fake = Service()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(fake, log_level="critical", lifespan="off", ws="none", interface="asgi3")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    monkeypatch.delenv("SELLABLE_API_URL", raising=False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    (held_dir / "run.json").write_text(json.dumps({"api": url}))
    yield fake
    server.should_exit = True
    thread.join()
    listener.close()


class Run:
    """A replay, and what it printed."""

    def __init__(self, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir, self.capsys = data_dir, capsys
        self.err = ""

    async def __call__(self, rows: str, *, header: str = HEADER, **how: Any) -> tuple[int, dict[str, Any]]:
        path = self.data_dir / "rows.csv"
        path.write_text(header + rows, encoding="utf-8")
        code = await replay(path, self.data_dir, summary="json", **how)
        return code, self.summary()

    def summary(self) -> dict[str, Any]:
        said = self.capsys.readouterr()
        self.err = said.err
        figures: dict[str, Any] = json.loads(said.out)
        row_keys = ("order_rows", "return_rows", "adjustment_rows", "bad_lines")
        assert figures["rows"] == sum(figures[key] for key in row_keys)
        assert figures["orders"] == sum(figures[key] for key in ("locked", "refused", "failed_orders"))
        parts = ("failed_orders", "failed_returns", "failed_adjustments", "bad_lines")
        assert figures["failed"] == sum(figures[key] for key in parts)
        return figures


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path, capsys)


def picked(figures: dict[str, Any], *keys: str) -> list[Any]:
    return [figures[key] for key in keys]


async def test_an_order_is_locked_confirmed_and_deducted(service: Service, run: Run) -> None:
    service.stock = {"A": 5, "B": 5}
    code, figures = await run(f"1,A,2,{AT}\n1,B,1,{AT}\n1,A,1,{AT}\n", header=HEADER)
    assert code == 0
    lines = [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}, {"sku": "A", "quantity": 1}]
    assert service.posted == [
        ("/v1/locks", {"lock_id": "1", "lines": lines}),
        ("/v1/locks/1/confirm", None),
        ("/v1/locks/1/deduct", {"shipment_id": "1"}),
    ]
    assert picked(figures, "rows", "orders", "locked", "shipped", "failed") == [3, 1, 1, 1, 0]


async def test_rows_of_one_order_need_not_stand_together(service: Service, run: Run) -> None:
    service.stock = {"A": 9}
    code, figures = await run(f"1,A,1,{AT}\n2,A,1,{AT}\n1,A,2,{AT}\n3,A,1,{AT}\n2,A,3,{AT}\n")
    assert code == 0
    assert service.lock_order == ["1", "2", "3"]
    assert [len(service.locks[key]["lines"]) for key in "123"] == [2, 2, 1]
    assert picked(figures, "rows", "orders") == [5, 3]


async def test_a_refused_order_is_counted_and_no_failure(service: Service, run: Run) -> None:
    service.stock = {"A": 1}
    code, figures = await run(f"1,A,1,{AT}\n2,A,1,{AT}\n2,B,1,{AT}\n")
    assert code == 0
    keys = ("orders", "locked", "refused", "refused_rows", "shortages", "failed")
    assert picked(figures, *keys) == [2, 1, 1, 2, 2, 0]
    assert not any(path.startswith("/v1/locks/2") for path, _ in service.posted)


async def test_a_rerun_counts_the_same_and_ships_nothing_twice(service: Service, run: Run) -> None:
    service.stock = {"A": 2}
    rows = f"1,A,1,{AT}\n2,A,5,{AT}\n"
    _, first = await run(rows)
    _, second = await run(rows)
    assert picked(first, "locked", "refused", "shipped") == picked(second, "locked", "refused", "shipped")
    assert service.stock == {"A": 1}


async def test_returns_and_adjustments(service: Service, run: Run) -> None:
    service.warehouses = {"A": ["north", "east"]}
    rows = (
        f"r,A,2,{AT},,return,broken box\nr,A,1,{AT},,return,\n"
        f"a,A,-3,{AT},west,adjustment,lost\na,Z,+4,{AT},west,adjustment,\nu,Z,1,{AT},,return,\n"
    )
    code, figures = await run(rows, warehouse="spare")
    assert code == 0
    back = [{"sku": "A", "quantity": units, "condition": "sellable"} for units in (2, 1)]
    adjusted = [
        {"sku": "A", "quantity": -3, "reason": "lost"},
        {"sku": "Z", "quantity": 4, "reason": "no reason given"},
    ]
    found = [{"sku": "Z", "quantity": 1, "condition": "sellable"}]
    assert service.posted == [
        ("/v1/returns", {"return_id": "r", "warehouse": "east", "lines": back}),
        ("/v1/adjustments", {"adjustment_id": "a", "warehouse": "west", "lines": adjusted}),
        ("/v1/returns", {"return_id": "u", "warehouse": "spare", "lines": found}),
    ]
    assert picked(figures, "rows", "orders", "returns", "adjustments") == [5, 0, 2, 1]


async def test_a_return_to_two_warehouses_is_two_documents(service: Service, run: Run) -> None:
    _, figures = await run(f"r,A,1,{AT},x,return,\nr,B,1,{AT},y,return,\nr,C,1,{AT},x,return,\n")
    assert [(body["return_id"], len(body["lines"])) for _, body in service.posted] == [("r@x", 2), ("r@y", 1)]
    assert figures["returns"] == 1


async def test_codes_are_encoded_in_paths(service: Service, run: Run) -> None:
    service.stock, service.warehouses = {"A/12 %": 1}, {"A/12 %": ["x"]}
    code, _ = await run(f"o/1 ü,A/12 %,1,{AT}\nr,A/12 %,1,{AT},,return,\n")
    assert code == 0
    assert service.posted[1][0] == "/v1/locks/o%2F1%20%C3%BC/confirm"
    assert service.posted[3][1]["warehouse"] == "x"


BAD = {
    "a quantity of zero": f"1,A,0,{AT}",
    "a negative order": f"1,A,-1,{AT}",
    "a negative return": f"1,A,-1,{AT},,return,",
    "an adjustment by nothing": f"1,A,0,{AT},,adjustment,",
    "a code with a brace": f"1,A{{,1,{AT}",
    "a bad warehouse": f"1,A,1,{AT}, x",
    "an unknown kind": f"1,A,1,{AT},,gift,",
    "no order": f",A,1,{AT}",
    "a path": f"..,A,1,{AT}",
    "no time": "1,A,1,",
    "a time without a zone": "1,A,1,2025-01-31T08:30:00",
    "only a day": "1,A,1,2025-01-31",
    "no such day": "1,A,1,2025-02-30T08:30:00Z",
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_line_is_named_and_the_rest_goes_on(case: str, service: Service, run: Run) -> None:
    service.stock = {"A": 5}
    code, figures = await run(f"0,A,1,{AT}\n{BAD[case]}\n3,A,1,{AT}\n")
    assert code == 3
    assert run.err.startswith("line 3: ")
    assert picked(figures, "rows", "bad_lines", "locked", "failed") == [3, 1, 2, 1]


OTHERS = f"1,A,1,{AT}\n2,A,1,{AT}\n1,A,1,{AT},,return,\n"
INCOMPLETE: dict[str, tuple[str, list[str], int]] = {
    # what is said of order 1 besides; the documents that are sent; and the bad line
    "a bad SKU": (f"1,A ,1,{AT}\n", ["2", "return 1"], 5),
    "a bad quantity": (f"1,A,1.5,{AT}\n", ["2", "return 1"], 5),
    "a bad quantity of a return": (f"1,A,-1,{AT},,return,\n", ["1", "2"], 5),
    "a bad time": ("1,A,1,yesterday\n", ["2", "return 1"], 5),
    "a kind that is none": (f"1,A,1,{AT},,gift,\n", ["2"], 5),
    "too few fields": ("1,A\n", ["2"], 5),
    "no proper CSV": (f'1,A,1,{AT},,,"a"b\n', ["2", "return 1"], 5),
    "no end": (f"1,A,1,{AT}", ["2"], 5),
    "no end, and no order": ("1", ["2"], 5),
    "an ambiguous number": (f"1,A,1.250,{AT}\n", ["2", "return 1"], 5),
    "no order": (f",A,1,{AT}\n", ["1", "2", "return 1"], 5),
}


@pytest.mark.parametrize("case", INCOMPLETE)
async def test_an_order_with_a_bad_line_is_not_booked_at_all(case: str, service: Service, run: Run) -> None:
    service.stock, service.warehouses = {"A": 9}, {"A": ["x"]}
    line, sent, bad_line = INCOMPLETE[case]
    code, figures = await run(OTHERS + line)
    assert code == 3
    orders = [
        *service.lock_order,
        *(f"return {body['return_id']}" for _, body in service.posted if body and "return_id" in body),
    ]
    assert orders == sent
    assert f"failed: line {bad_line} of it is bad, so none of it was booked" in run.err or len(sent) == 3
    assert picked(figures, "bad_lines", "failed") == [1, 1 + 3 - len(sent)]


async def test_it_completes_with_the_corrected_file(service: Service, run: Run) -> None:
    service.stock = {"A": 9, "B": 9}
    await run(f"1,A,1,{AT}\n1,B,one,{AT}\n2,A,1,{AT}\n")
    code, figures = await run(f"1,A,1,{AT}\n1,B,1,{AT}\n2,A,1,{AT}\n")
    assert (code, figures["locked"]) == (0, 2)
    assert [len(service.locks[key]["lines"]) for key in "12"] == [2, 1]


async def test_a_number_that_was_decided_late_keeps_its_place(service: Service, run: Run) -> None:
    service.stock = {"A": 99}
    await run(f"1,A,3.000,{AT}\n2,A,1,{AT}\n1,A,1,{AT}\n3,A,2.0,{AT}\n")
    assert service.lock_order == ["1", "2", "3"]
    assert [line["quantity"] for line in service.locks["1"]["lines"]] == [3, 1]


async def test_what_is_refused_is_named(service: Service, run: Run) -> None:
    service.stock = {"A": 5}
    service.refusals = {"/v1/locks/0/confirm": (500, {})}
    rows = f"0,A,1,{AT}\n" + "".join(f"o{number},A,9,{AT}\n" for number in range(30))
    report = run.data_dir / "report.csv"
    await run(rows + f"bad,A,x,{AT}\n", report=report)
    said = run.err.splitlines()
    assert said[0].startswith("line 33: quantity 'x'")
    assert said[1:3] == ["order 0 failed: status 500 (500)", "order o0 refused: not enough of A"]
    assert said[21:] == [f"and 11 more refused or failed: {report} names them all"]
    written = list(csv.reader(report.read_text(encoding="utf-8").splitlines()))
    assert written[0] == ["line", "order_id", "kind", "result", "why"]
    assert written[1][:4] == ["33", "bad", "order", "bad line"]
    assert written[2] == ["2", "0", "order", "failed", "status 500 (500)"]
    assert written[3:] == [
        [str(number + 3), f"o{number}", "order", "refused", "not enough of A"] for number in range(30)
    ]


async def test_without_a_report_it_says_how_to_have_one(service: Service, run: Run) -> None:
    await run("".join(f"o{number},A,9,{AT}\n" for number in range(21)))
    assert service.lock_order[-1] == "o20"
    assert run.err.splitlines()[20:] == ["and 1 more refused or failed: --report FILE names them all"]


async def test_a_report_that_cannot_be_written(service: Service, run: Run) -> None:
    del service
    with pytest.raises(SellableError, match="cannot be written"):
        await run("", report=run.data_dir / "none" / "report.csv")


@pytest.mark.parametrize(
    ("days", "warned"),
    [("321", True), ("21", True), ("123", False), ("1", False), ("1112", False), ("3231", False)],
)
async def test_a_newest_first_file_gets_a_warning(
    days: str, warned: bool, service: Service, run: Run
) -> None:
    service.stock = {"A": 9}
    await run("".join(f"{n},A,1,2025-01-0{day}T08:30:00Z\n" for n, day in enumerate(days)))
    assert ("the newest rows come first" in run.err) == warned


async def test_an_order_of_too_many_lines_fails_by_name(service: Service, run: Run) -> None:
    code, figures = await run("".join(f"1,A,1,{AT}\n" for _ in range(2_001)))
    assert (code, service.posted) == (3, [])
    assert run.err.startswith("order 1 failed: its 2,001 lines")
    assert picked(figures, "rows", "orders", "failed") == [2_001, 1, 1]


FAILURES = {
    "/v1/locks": (409, {"code": "lock_id_reused", "detail": "other\ncontent"}, "lock_id_reused (409): other"),
    "/v1/locks/1/confirm": (409, {"code": "lock_expired"}, "lock_expired (409)"),
    "/v1/locks/1/deduct": (500, {}, "status 500"),
}


@pytest.mark.parametrize("path", FAILURES)
async def test_an_unexpected_answer_is_a_named_failure(path: str, service: Service, run: Run) -> None:
    service.stock = {"A": 5}
    status, body, said = FAILURES[path]
    service.refusals = {path: (status, body)}
    code, figures = await run(f"1,A,1,{AT}\n")
    assert code == 3
    assert run.err.startswith(f"order 1 failed: {said}")
    assert picked(figures, "orders", "locked", "failed", "shipped") == [1, 0, 1, 0]


async def test_a_refusal_must_name_its_shortages(service: Service, run: Run) -> None:
    service.refusals = {"/v1/locks": (409, {"code": "insufficient_stock", "shortages": []})}
    code, figures = await run(f"1,A,1,{AT}\n")
    assert (code, figures["refused"], figures["failed"]) == (3, 0, 1)


async def test_repeats_while_the_service_is_not_ready(service: Service, run: Run) -> None:
    service.stock = {"A": 5}
    service.troubles = [(503, code, "0") for code in ("not_ready", "outcome_unknown", "backlog_full")]
    code, figures = await run(f"1,A,1,{AT}\n")
    assert (code, figures["locked"], service.lock_order) == (0, 1, ["1"])
    assert run.err.count("trying again") == 1


@pytest.mark.parametrize("retry_after", ["", "3600"])
async def test_gives_up_after_a_while_with_a_summary(
    retry_after: str, service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_client, "RETRY_SECONDS", 0.2)
    service.stock = {"A": 5}
    service.troubles = [(503, "not_ready", retry_after)] * 1_000
    with pytest.raises(UnavailableError, match=r"did not answer for 0\.2 s \(not_ready\)"):
        await run(f"1,A,1,{AT}\n2,A,1,{AT}\n3,A,1,{AT}\n", concurrency=2)
    figures = run.summary()
    assert picked(figures, "rows", "orders", "failed", "unsent") == [3, 2, 2, 1]


async def test_gives_up_when_nobody_listens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_client, "RETRY_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("SELLABLE_API_URL", url)
    with pytest.raises(UnavailableError, match="gave up"):
        await run(f"1,A,1,{AT}\n")
    assert picked(run.summary(), "orders", "failed") == [1, 1]


async def test_sends_its_key_and_stops_when_it_is_refused(
    service: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELLABLE_API_KEY", "secret")
    service.refusals = {"/v1/locks": (401, {"code": "unauthorized"})}
    with pytest.raises(SellableError, match="SELLABLE_API_KEY"):
        await run(f"1,A,1,{AT}\n2,A,1,{AT}\n")
    assert service.keys == {"Bearer secret"}
    assert run.summary()["unsent"] == 1


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_keeps_a_bound_on_what_is_in_flight(concurrency: int, service: Service, run: Run) -> None:
    service.stock = {"A": 100}
    rows = "".join(f"{number},A,1,{AT}\n" for number in range(40))
    _, figures = await run(rows, concurrency=concurrency)
    assert figures["locked"] == 40
    assert service.in_flight_max <= concurrency
    if concurrency == 1:
        assert service.lock_order == [str(number) for number in range(40)]


async def test_pace_waits_for_what_happened_later(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pace = Pace(100.0)
    for at in (1_000.0, 4_600.0, 500.0):
        await pace.wait(at)
    assert slept[0] == 0
    assert 30 < slept[1] <= 36
    assert slept[2] == 0
    await Pace(None).wait(5_000.0)
    assert len(slept) == 3


async def test_text_is_a_line_a_figure(
    service: Service, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    service.stock = {"A": 1}
    path = run.data_dir / "rows.csv"
    path.write_text(f"order_id,sku,quantity,occurred_at\n1,A,1,{AT}\n")
    assert await replay(path, run.data_dir) == 0
    figures = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert (figures["rows"], figures["locked"]) == ("1", "1")
