"""What of the caller's environment reaches whom, and names in it that are no settings."""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.commands import up
from app.environment import for_own_process, for_server, forget_defaults
from app.errors import ConfigurationError
from app.settings import Settings, refuse_unknown

pytestmark = pytest.mark.usefixtures("no_settings")

NEEDED = {"PATH": "/bin", "HOME": "/home", "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "TMPDIR": "/tmp"}  # noqa: S108
SETTINGS = {"SELLABLE_API_KEYS": "shop:secret:read", "SELLABLE_PREFIX": "p"}
FOREIGN = {
    **dict.fromkeys(("PGHOST", "PGUSER", "PGSSLMODE", "PGPASSFILE", "PGSERVICE", "PGOPTIONS"), "foreign"),
    **dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY"), "foreign"),
    **dict.fromkeys(("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "WEB_CONCURRENCY"), "foreign"),
}
OTHERS = {"AWS_SECRET_ACCESS_KEY": "s", "REDIS_URL": "redis://", "PYTHONPATH": ".", "LD_PRELOAD": "x.so"}


def test_a_server_gets_what_any_program_needs() -> None:
    assert for_server(NEEDED | SETTINGS | FOREIGN | OTHERS) == NEEDED


def test_our_processes_get_the_settings_too() -> None:
    python = {"PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    assert for_own_process(NEEDED | SETTINGS | FOREIGN | OTHERS) == NEEDED | SETTINGS | python


def test_what_would_be_a_default_of_our_connections_is_forgotten() -> None:
    environ = NEEDED | SETTINGS | FOREIGN | OTHERS
    forget_defaults(environ)
    assert environ == NEEDED | SETTINGS | OTHERS


def test_what_is_imported_is_ours_wherever_we_are(tmp_path: Path) -> None:
    """A folder with an `app` is where every second program is developed."""
    spoiled = f"open({str(tmp_path / 'imported')!r}, 'w'); raise SystemExit('somebody else')"
    (tmp_path / "app").mkdir()
    for file in ("app/__init__.py", "app/__main__.py", "redis.py", "pydantic.py", "typer.py", "json.py"):
        (tmp_path / file).write_text(spoiled)
    done = subprocess.run(
        [*up._OWN_COMMAND, "settings", "--json"],
        cwd=tmp_path,
        env=for_own_process(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)
    assert not (tmp_path / "imported").exists()


UNKNOWN = [
    ("SELLABLE_REDIS_URI", "x", "SELLABLE_REDIS_URL"),
    ("SELLABLE_DATABSE_URL", "x", "SELLABLE_DATABASE_URL"),
    ("SELLABLE_OUTBOX", "1", "SELLABLE_OUTBOX_MAX"),
    ("SELLABLE_API_KEY_S", "x", "SELLABLE_API_KEYS"),
    ("sellable_redis_url", "x", "SELLABLE_REDIS_URL"),
    ("SELLABLE_PORT", "9000", "SELLABLE_PREFIX"),
    ("SELLABLE_", "", "SELLABLE_PREFIX"),
]


@pytest.mark.parametrize(("name", "value", "nearest"), UNKNOWN)
def test_an_unknown_setting_is_named_with_the_nearest(name: str, value: str, nearest: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"^{name} is not a setting, the nearest is SELLABLE_"
    ) as caught:
        refuse_unknown({name: value})
    if name not in {"SELLABLE_PORT", "SELLABLE_"}:  # near to nothing: any will do
        assert str(caught.value).endswith(nearest)


def test_known_settings_and_what_a_container_engine_sets_are_taken() -> None:
    refuse_unknown({f"SELLABLE_{name}".upper(): "x" for name in Settings.model_fields})
    refuse_unknown({"SELLABLE_API_KEY": "x", "PATH": "x", "SELL": "x"})
    refuse_unknown(
        {
            "SELLABLE_SERVICE_HOST": "10.0.0.1",
            "SELLABLE_SERVICE_PORT": "8080",
            "SELLABLE_SERVICE_PORT_HTTP": "8080",
            "SELLABLE_PORT": "tcp://10.0.0.1:8080",
            "SELLABLE_PORT_8080_TCP": "tcp://10.0.0.1:8080",
            "SELLABLE_PORT_8080_TCP_ADDR": "10.0.0.1",
            "SELLABLE_REDIS_SERVICE_HOST": "10.0.0.2",
            "SELLABLE_REDIS_PORT": "tcp://10.0.0.2:6379",
        }
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [("up", 1), ("serve", 1), ("worker", 1), ("migrate", 1), ("verify", 4), ("settings", 1), ("rebuild", 1)],
)
def test_every_command_refuses_an_unknown_setting(
    command: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner(env={"SELLABLE_REDIS_URI": "x"}).invoke(cli, [command])
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr == "sellable: SELLABLE_REDIS_URI is not a setting, the nearest is SELLABLE_REDIS_URL\n"
    assert list(tmp_path.iterdir()) == []
