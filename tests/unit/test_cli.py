import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from app.cli import cli
from app.commands.service import api_headers, find_service
from app.commands.settings import MASK, settings
from app.errors import ConfigurationError, SellableError

REPLAYABLE = "order_id,sku,quantity,occurred_at\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(REPLAYABLE)
    return path


@pytest.fixture(autouse=True)
def _no_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SELLABLE_API_URL", "SELLABLE_REDIS_URL", "SELLABLE_DATABASE_URL", "SELLABLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-command"],
        ["replay"],
        ["replay", "no-such-file.csv"],
        ["replay", "."],
        ["replay", "FILE", "--concurrency", "0"],
        ["replay", "FILE", "--concurrency", "many"],
        ["replay", "FILE", "--speed", "0"],
        ["replay", "FILE", "--speed", "nan"],
        ["replay", "FILE", "--summary", "xml"],
        ["replay", "FILE", "--warehouse", "a{b}"],
        ["import-stock"],
        ["import-stock", "FILE", "more.csv"],
        ["up", "--workers", "0"],
        ["up", "--port", "70000"],
        ["reconcile", "FILE", "--warehouse", "north", "--as-of", "yesterday"],
        ["reconcile", "FILE", "--warehouse", "north", "--as-of", "2999-01-01T00:00:00Z"],
    ],
)
def test_wrong_arguments_are_usage_errors(arguments: list[str], file: Path) -> None:
    given = [str(file) if argument == "FILE" else argument for argument in arguments]
    assert CliRunner().invoke(cli, given).exit_code == 2


def test_no_service_is_one_sentence(file: Path) -> None:
    done = CliRunner().invoke(cli, ["replay", str(file), "--data-dir", str(file.parent)])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("sellable: no running service was found")
    assert done.stderr.count("\n") == 1


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, result: Any) -> list[dict[str, Any]]:
    """Put a module in a command's place that returns or raises `result`; the calls it got."""
    calls: list[dict[str, Any]] = []

    def run(**arguments: Any) -> Any:
        calls.append(arguments)
        if isinstance(result, BaseException):
            raise result
        return result

    module = ModuleType(name)
    setattr(module, name, run)
    monkeypatch.setitem(sys.modules, f"app.commands.{name}", module)
    return calls


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        (None, 0, ""),
        (0, 0, ""),
        (3, 3, ""),
        (SellableError("no\nuse"), 1, "sellable: no use\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(result: Any, code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "rebuild", result)
    done = CliRunner().invoke(cli, ["rebuild"])
    assert (done.exit_code, done.stderr) == (code, said)


def test_what_cannot_be_compared_is_told_apart_from_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "verify", SellableError("the ledger is away"))
    assert CliRunner().invoke(cli, ["verify", "--json"]).exit_code == 4
    calls = stand_in(monkeypatch, "verify", 1)
    assert CliRunner().invoke(cli, ["verify", "--json"]).exit_code == 1
    assert [{name: call[name] for name in ("as_json", "data_dir")} for call in calls] == [
        {"as_json": True, "data_dir": Path(".sellable")}
    ]


def test_up_hands_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, "up", None)
    arguments = ["up", "--no-demo", "--port", "9000", "--workers", "2", "--data-dir", "d"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert calls == [{"host": "127.0.0.1", "port": 9000, "data_dir": Path("d"), "workers": 2, "demo": False}]


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom app.cli import cli\n"
        "heavy = {'httpx', 'redis', 'sqlalchemy', 'fastapi', 'pydantic', 'asyncpg'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


RUN = {"api": "http://a/", "redis": "redis://r", "database": "postgresql://d", "pids": {}}


def test_the_environment_comes_before_run_json(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    service = find_service(tmp_path, "api", "redis", environ={"SELLABLE_REDIS_URL": "redis://mine"})
    assert (service.api, service.redis, service.database) == ("http://a", "redis://mine", "postgresql://d")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "does not describe"),
        ("{}", "SELLABLE_API_URL"),
        ('{"api": "x"}', "http"),
    ],
)
def test_a_broken_run_json_is_one_sentence(run: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(run)
    with pytest.raises(ConfigurationError, match=message):
        find_service(tmp_path, "api", environ={})


def test_the_key_is_sent_as_a_bearer() -> None:
    assert api_headers({}) == {}
    assert api_headers({"SELLABLE_API_KEY": " k "}) == {"Authorization": "Bearer k"}
    with pytest.raises(ConfigurationError):
        api_headers({"SELLABLE_API_KEY": "k\nX-Other: 1"})


def test_settings_lists_each_one_and_hides_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"SELLABLE_DATABASE_URL": "postgresql://me:hidden@host/db"}
    assert settings(as_json=True, environ=environ) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed["SELLABLE_DATABASE_URL"]["value"] == f"postgresql://me:{MASK}@host/db"
    assert set(listed["SELLABLE_API_URL"]) == {"name", "default", "unit", "promise", "description", "value"}
    assert settings(environ=environ) == 0
    table = capsys.readouterr().out
    assert "hidden" not in table
    assert all(name in table for name in listed)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REDIS_URL", "redis+cluster://a:1,b:2", "begins with redis+cluster://, which is not supported"),
        ("DATABASE_URL", "postgresql://u:s3cret@h/d?sslmode=on", "has sslmode=on, which must be one of"),
        ("API_KEYS", "shop:s3cret:everything", "each key is name:secret:scope+scope"),
        ("OUTBOX_MAX", "many", "is not usable"),
    ],
)
def test_settings_refuses_what_a_process_would_refuse(name: str, value: str, said: str) -> None:
    done = CliRunner().invoke(cli, ["settings"], env={f"SELLABLE_{name}": value})
    assert done.exit_code == 1
    assert f"SELLABLE_{name}" in done.stdout
    assert done.stderr.startswith(f"sellable: SELLABLE_{name} ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "s3cret" not in done.output


def test_settings_takes_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = CliRunner().invoke(cli, ["settings", "--json"])
    assert done.exit_code == 0
    assert isinstance(json.loads(done.stdout), list)


def test_a_setting_that_was_refused_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Settings(BaseModel):
        port: int

    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"port": "x"})
    stand_in(monkeypatch, "worker", caught.value)
    done = CliRunner().invoke(cli, ["worker"])
    assert done.exit_code == 1
    assert done.stderr.startswith("sellable: SELLABLE_PORT: Input should be a valid integer")
