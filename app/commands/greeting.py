"""What `sellable up` says once everything runs: where it is, and commands that work on what is there."""

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from app.addresses.url import masked

EXAMPLE_SKU = "TEA-100"
EXTERNAL = {
    "redis": ("hot store", "SELLABLE_REDIS_URL"),
    "postgres": ("ledger", "SELLABLE_DATABASE_URL"),
}
EXAMPLE_ROWS = f"sku,warehouse,quantity\\n{EXAMPLE_SKU},main,10\\n"


class Greeting:
    """The greeting of a service at `url` with its data in `data_dir`.

    `external` has the URLs of servers that are somebody else's, by their role (`redis`, `postgres`).
    """

    def __init__(self, url: str, data_dir: Path, *, has_keys: bool, external: Mapping[str, str]) -> None:
        self._url = url
        self._data_dir = data_dir
        self._key = '-H "Authorization: Bearer $KEY" ' if has_keys else ""
        self._external = external

    def text(self, *, has_demo: bool) -> str:
        """Return it; with `has_demo` the demo catalogue is there to be asked about."""
        return f"""
Sellable is ready.
  API    {self._url}
  docs   {self._url}/docs
  data   {self._data_dir}   (logs in logs/, where everything is in run.json)
{self._servers()}
{self._examples(has_demo=has_demo)}

Ctrl-C stops everything."""

    def _servers(self) -> str:
        """Name the servers that are not among the data, a line each."""
        return "".join(
            f"  the {noun} is {masked(self._external[role])} of {variable}, not started or stopped here\n"
            for role, (noun, variable) in EXTERNAL.items()
            if role in self._external
        )

    def _examples(self, *, has_demo: bool) -> str:
        if has_demo:
            return "\n  ".join(("Try:", *self._calls()))
        if self._external:  # nothing is written to what may be somebody's shop
            return "\n  ".join(("Try:", f"curl {self._url}/readyz"))
        return "\n  ".join(("There is no stock yet. Try:", *self._import(), *self._calls()))

    def _calls(self) -> tuple[str, str]:
        order = json.dumps({"lock_id": "order-1", "lines": [{"sku": EXAMPLE_SKU, "quantity": 1}]})
        json_type = "-H 'Content-Type: application/json'"
        return (
            f"curl {self._key}{self._url}/v1/availability/{EXAMPLE_SKU}",
            f"curl {self._key}{self._url}/v1/locks {json_type} -d '{order}'",
        )

    def _import(self) -> tuple[str, str]:
        file = shlex.quote(str(Path(tempfile.gettempdir()) / "sellable-example.csv"))
        where = f" --data-dir {shlex.quote(str(self._data_dir))}"
        return (
            f"printf '{EXAMPLE_ROWS}' > {file}",
            f"{_our_command()} import-stock {file}{where}",
        )


def _our_command() -> str:
    """How this program can be called again from the shell that started it."""
    beside_python = Path(sys.executable).with_name("sellable")
    if not beside_python.exists():
        return f"{shlex.quote(sys.executable)} -m app"
    found = shutil.which("sellable")
    return "sellable" if found == str(beside_python) else shlex.quote(str(beside_python))
