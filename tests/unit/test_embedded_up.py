import errno
import re
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.commands import up
from app.commands.address import check_host, refuse_address
from app.commands.greeting import Greeting
from app.errors import ConfigurationError

pytestmark = pytest.mark.usefixtures("no_settings")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    check_host(host, has_keys=False)


def test_any_other_address_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no API keys are set"):
        up.up(host="0.0.0.0", port=0, data_dir=tmp_path, workers=1, demo=False)  # noqa: S104
    check_host("0.0.0.0", has_keys=True)  # noqa: S104


def test_every_address_is_reached_by_loopback() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        assert up._url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_is_at_most_65535() -> None:
    with pytest.raises(ConfigurationError, match="no port 99999"):
        up._listen("127.0.0.1", 99_999)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRINUSE, r"Address already in use: stop what uses it, or choose another with --port"),
        (
            errno.EACCES,
            r"Permission denied: ports this low are for the system; choose one above 1023 with --port",
        ),
        (
            errno.EADDRNOTAVAIL,
            r"Cannot assign requested address: this machine has no such address; .* --host",
        ),
        (errno.ENOBUFS, r"No buffer space available$"),
    ],
)
def test_a_port_that_cannot_be_had_says_what_to_do(number: int, said: str) -> None:
    refused = refuse_address("host", 80, OSError(number, "whatever"))
    assert re.match(f"the port 80 of host cannot be listened on: {said}", str(refused))


def test_an_address_may_have_the_brackets_of_a_url(tmp_path: Path) -> None:
    for host in ("::", "[::]"):
        done = CliRunner().invoke(cli, ["up", "--host", host, "--data-dir", str(tmp_path / "data")])
        assert done.exit_code == 1
        assert "so :: is refused: use a loopback address" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SELLABLE_DURABILITY", "always"),
        ("SELLABLE_LOCK_TTL_SECONDS", "0"),
        ("SELLABLE_API_KEYS", "no keys"),
        ("SELLABLE_RECONCILE_POLICY", "nonsense"),
        ("SELLABLE_REDIS_URL", "http://redis"),
        ("SELLABLE_DATABASE_URL", "mysql://db"),
        ("SELLABLE_DATABSE_URL", "postgresql://db/x"),
    ],
)
def test_settings_are_refused_before_anything_starts(name: str, value: str, tmp_path: Path) -> None:
    done = CliRunner(env={name: value}).invoke(
        cli, ["up", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    )
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.fullmatch(rf"sellable: {name} .*\n", done.stderr)
    assert not (tmp_path / "data").exists()


def test_the_greeting_of_an_empty_installation_begins_with_stock(tmp_path: Path) -> None:
    greeting = Greeting("http://h:1", tmp_path / "a b", has_keys=False, external={})
    empty, full = greeting.text(has_demo=False), greeting.text(has_demo=True)
    assert "There is no stock yet. Try:\n  printf 'sku,warehouse,quantity" in empty
    assert empty.index("import-stock") < empty.index("curl http://h:1/v1/availability/TEA-100")
    assert f"--data-dir '{tmp_path}/a b'" in empty
    assert "import-stock" not in full
    assert "curl http://h:1/v1/availability/TEA-100" in full


def test_the_greeting_names_servers_of_others_and_suggests_no_change_of_theirs(tmp_path: Path) -> None:
    external = {
        "redis": "redis://shop:hidden@r:6379/0",
        "postgres": "postgresql://me:hidden@p/db?password=hidden",
    }
    said = Greeting("http://h:1", tmp_path, has_keys=True, external=external).text(has_demo=False)
    assert re.search(r"the hot store is redis://shop:\*+@r:6379/0 of SELLABLE_REDIS_URL, not started", said)
    assert re.search(
        r"the ledger is postgresql://me:\*+@p/db\?password=\*+ of SELLABLE_DATABASE_URL, not", said
    )
    assert "hidden" not in said
    assert re.findall(r"(?:curl|import-stock|printf).*", said) == ["curl http://h:1/readyz"]
