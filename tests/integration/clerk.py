"""A clerk with files: commands as they are typed, on the stores and the application of a test."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from typer.testing import CliRunner

from app import cli
from app.bootstrap import Stores
from app.commands import replay as replaying
from app.commands.import_stock import import_stock
from app.commands.reconcile import reconcile
from app.commands.replay import replay
from app.commands.warehouses import warehouses
from app.errors import SellableError
from app.operations.operations import Operations
from tests.integration.warehouse import House

CASES = Path(__file__).parents[1] / "cases"
COMMANDS: dict[str, Callable[..., Awaitable[int]]] = {
    "import_stock": import_stock, "reconcile": reconcile, "replay": replay, "warehouses": warehouses,
}  # fmt: skip


class Said(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass
class Clerk:
    """Types commands: the command line reads them, and they run in the loop of the test."""

    house: House
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    typed: dict[str, Any] = field(default_factory=dict)

    async def types(self, *arguments: str) -> Said:
        """Run a command to its end."""
        self.typed.clear()
        done = CliRunner().invoke(cli.cli, list(arguments))
        if not self.typed:
            return Said(done.exit_code, done.stdout, done.stderr)
        name, failed = self.typed.pop("name"), self.typed.pop("failed", cli.REFUSED)
        opened = {"open_stores": self._stores, "open_operations": self._operations}
        arguments_of = {key: value for key, value in self.typed.items() if key != "needs"}
        if needs := self.typed.get("needs"):
            arguments_of[needs] = opened[needs]
        self.capsys.readouterr()
        try:
            code = await COMMANDS[name](**arguments_of) or 0
        except SellableError as error:
            said = self.capsys.readouterr()
            return Said(failed, said.out, f"{said.err}sellable: {error}\n")
        return Said(code, *self.capsys.readouterr())

    @asynccontextmanager
    async def _stores(self, _redis: str, _database: str) -> AsyncIterator[Stores]:
        yield self.house.stores

    @asynccontextmanager
    async def _operations(self, _redis: str, _database: str) -> AsyncIterator[Operations]:
        yield self.house.operations


@asynccontextmanager
async def clerk_of(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Clerk]:
    """A clerk at this service."""
    clerk = Clerk(house, capsys, monkeypatch)

    def note(name: str, **arguments: Any) -> None:
        clerk.typed.update(name=name, **arguments)

    def client(_url: str, headers: Any, *, connections: int) -> httpx.AsyncClient:
        del connections
        transport = house.http._transport
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)

    monkeypatch.setattr(cli, "_run", note)
    monkeypatch.setattr(replaying, "open_http", client)
    for name in ("SELLABLE_REDIS_URL", "SELLABLE_DATABASE_URL", "SELLABLE_API_URL"):
        monkeypatch.setenv(name, "http://test" if name.endswith("API_URL") else "here")
    yield clerk


def numbered(text: str) -> dict[int, str]:
    """The lines of a file that were named, and what was said of each."""
    return {int(line): said for line, said in re.findall(r"^line (\d+): (.*)$", text, re.MULTILINE)}
