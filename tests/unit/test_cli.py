import http.server
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from typer.testing import CliRunner

from app.cli import cli
from app.commands.service import api_headers, find_service
from app.commands.settings import MASK, settings
from app.embedded.directory import DirectoryLock
from app.errors import ConfigurationError, SellableError

pytestmark = pytest.mark.usefixtures("no_settings")

REPLAYABLE = "order_id,sku,quantity,occurred_at\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(REPLAYABLE)
    return path


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


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """The data directory of a service that runs."""
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    yield tmp_path
    lock.release()


RUN = {"api": "http://a/", "redis": "redis://r", "database": "postgresql://d", "pids": {}}


def test_the_environment_comes_before_run_json(data_dir: Path) -> None:
    (data_dir / "run.json").write_text(json.dumps(RUN))
    service = find_service(data_dir, "api", "redis", environ={"SELLABLE_REDIS_URL": "redis://mine"})
    assert (service.api, service.redis, service.database) == ("http://a", "redis://mine", "postgresql://d")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\x00", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "does not describe"),
        (b"5", "does not describe"),
        (b"{}", "SELLABLE_API_URL"),
        (b'{"api": 5}', "SELLABLE_API_URL"),
        (b'{"api": "x"}', "http"),
        (b'{"api": "http://"}', "http"),
        (b'{"api": "http://[::"}', "http"),
        (b'{"api": "http://h:99999"}', "http"),
        (b'{"api": "http://h:p"}', "http"),
    ],
)
def test_a_broken_run_json_is_one_sentence(run: bytes, message: str, data_dir: Path, file: Path) -> None:
    (data_dir / "run.json").write_bytes(run)
    done = CliRunner().invoke(cli, ["replay", str(file), "--data-dir", str(data_dir)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("sellable: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_run_json_of_a_service_that_is_gone_leads_nowhere(data_dir: Path, tmp_path: Path) -> None:
    """What it names may be the service that the directory was copied from."""
    (data_dir / "run.json").write_text(json.dumps(RUN))
    copied = tmp_path / "copied"
    shutil.copytree(data_dir, copied, ignore=shutil.ignore_patterns("copied"))
    with pytest.raises(ConfigurationError, match=r"run\.json was left behind .* or was copied"):
        find_service(copied, "api", environ={})
    assert find_service(copied, "api", environ={"SELLABLE_API_URL": "http://b"}).api == "http://b"
    assert find_service(data_dir, "api", environ={}).api == "http://a"


def test_a_service_that_is_starting_is_not_there_yet(held_dir: Path, file: Path) -> None:
    """It holds its directory, and writes run.json once all of it is ready."""
    done = CliRunner().invoke(cli, ["replay", str(file), "--data-dir", str(held_dir)])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"sellable: the service of {held_dir} is still starting")
    assert "sellable up" not in done.stderr
    assert find_service(held_dir, "api", environ={"SELLABLE_API_URL": "http://b"}).api == "http://b"
    (held_dir / "run.json").write_text(json.dumps(RUN))
    assert find_service(held_dir, "api", environ={}).api == "http://a"


def test_commands_go_past_proxies_and_certificates_of_the_environment(
    data_dir: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "socks5://127.0.0.1:1")  # for which a library would be needed
    monkeypatch.setenv("NO_PROXY", "[::1")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    file.write_text(REPLAYABLE + "o1,A,1,2025-01-31T10:00:00Z\n")
    with answering_404() as url:
        (data_dir / "run.json").write_text(json.dumps(RUN | {"api": url}))
        done = CliRunner().invoke(cli, ["replay", str(file), "--data-dir", str(data_dir)])
    assert done.exit_code == 3, done.output
    assert "status 404" in done.output


@contextmanager
def answering_404() -> Iterator[str]:
    """A server that knows nothing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--data-dir", "a\udcffb"], r"--data-dir: the path '.*a\\xffb' is not UTF-8 text"),
        (["verify", "--data-dir", "a\nb"], r"--data-dir: the path '.*a\\nb' has a line break"),
        (
            ["up", "--data-dir", "a\x1bb"],
            r"--data-dir: the path '.*a\\x1bb' has a line break or another control",
        ),
        (["import-stock", "a\udcffb"], r"file: the path '.*a\\xffb' is not UTF-8 text"),
        (["reconciliations", "show", "x", "--html", "a\udcffb"], r"--html: the path .* is not UTF-8 text"),
    ],
)
def test_a_path_that_cannot_be_written_down_is_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a\udcffb").write_text("")
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(rf"sellable: {said}.*: choose another\n", done.stderr)


def test_so_is_a_current_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = CliRunner().invoke(cli, ["up"])
    assert done.exit_code == 2
    assert done.stderr.endswith(" begins in the current directory, which is gone: choose another\n")


NO_ROOM = "sellable: what is printed cannot be written: No space left on device\n"


def run_shell(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the shell in which `$@` is our command."""
    command = ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "app"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ('"$@" settings --json > /dev/full', 1, NO_ROOM),
        ('"$@" settings >&-', 0, ""),
        ('"$@" settings <&- >&- 2>&-', 0, ""),
        ('"$@" verify --data-dir /nowhere 2>&-', 4, ""),
        ('"$@" verify --data-dir /nowhere 2> /dev/full', 4, ""),
        ('{ "$@" settings --json; echo $? >&2; } | true', 0, "1\n"),
    ],
)
def test_output_that_cannot_be_written_is_no_traceback(script: str, code: int, said: str) -> None:
    done = run_shell(script)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory as `up` leaves it, with a file of somebody else's in it."""
    place = tmp_path / "data"
    for folder in ("redis", "postgres/data", "logs"):
        (place / folder).mkdir(parents=True)
    names = ("lock", "members.lock", "members.json", "filled", "redis/lock", "redis/password", "redis/dump")
    for name in (*names, "postgres/lock", "postgres/password", "logs/up.log", "logs/up.log.old", "mine"):
        (place / name).touch()
    return place


def test_data_is_reset_when_it_is_said_twice(data: Path) -> None:
    refused = CliRunner().invoke(cli, ["reset-data", "--data-dir", str(data)], input="yes\n")
    assert refused.exit_code == 1
    assert "only after a question on a terminal, or with --yes" in refused.stderr
    assert (data / "redis" / "dump").exists()
    done = CliRunner().invoke(cli, ["reset-data", "--data-dir", str(data), "--yes"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"deleted the data in {data}; it also holds, and keeps: mine\n"
    assert [path.name for path in data.iterdir()] == ["mine"]


def test_data_is_kept_while_it_is_used_or_if_it_is_none_of_ours(data: Path, tmp_path: Path) -> None:
    lock = DirectoryLock(data)
    lock.acquire()
    used = CliRunner().invoke(cli, ["reset-data", "--data-dir", str(data), "--yes"])
    lock.release()
    assert used.exit_code == 1
    assert "is in use by a running `sellable up`" in used.stderr
    (tmp_path / "home" / "redis").mkdir(parents=True)
    (tmp_path / "home" / "lock").touch()
    other = CliRunner().invoke(cli, ["reset-data", "--data-dir", str(tmp_path / "home"), "--yes"])
    assert other.exit_code == 1
    assert "is no data directory of `sellable up`: nothing was deleted" in other.stderr
    for kept in (data / "redis" / "dump", tmp_path / "home" / "redis"):
        assert kept.exists()


@pytest.mark.parametrize(("answer", "deleted"), [("yes\n", True), ("no\n", False), ("\x04", False)])
def test_the_question_is_asked_on_a_terminal(answer: str, data: Path, *, deleted: bool) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "app", "reset-data", "--data-dir", str(data)]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert f"every count, lock and event of {data}" in done.stderr
    assert done.returncode == (0 if deleted else 1)
    assert (data / "redis").exists() is not deleted


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
        ("API_KEYS", "shop:s3cret:everything", "the scopes of the key shop must be some of read"),
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
