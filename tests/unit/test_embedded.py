import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded import directory as directories
from app.embedded import process
from app.embedded.directory import DirectoryLock, has_owner, make_private, secret, write_private
from app.embedded.places import SOCKET_DIRECTORY_BYTES_MAX, SocketDirectory, can_pass, make_own, may
from app.embedded.process import Patience, Program, User
from app.embedded.server import Exit
from app.embedded.valkey import EmbeddedValkey
from app.errors import ConfigurationError
from tests.servers import scratch, until


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


def test_a_secret_is_made_once_and_private(place: Path) -> None:
    first = secret(place / "password")
    assert first == secret(place / "password")
    assert len(first) == 40
    assert (place / "password").stat().st_mode & 0o777 == 0o600


def test_a_private_file_is_replaced_whole(place: Path) -> None:
    write_private(place / "run.json", "one")
    write_private(place / "run.json", "two")
    assert (place / "run.json").read_text() == "two"
    assert [path.name for path in place.iterdir()] == ["run.json"]


def test_a_directory_under_a_file_cannot_be_made(place: Path) -> None:
    (place / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        make_private(place / "file" / "data")


def test_a_directory_has_one_owner(place: Path) -> None:
    first, second = DirectoryLock(place), DirectoryLock(place)
    first.acquire()
    with pytest.raises(ConfigurationError, match=f"{place} is in use by a person already"):
        second.acquire(whose="a person")
    assert not second.held
    first.release()
    second.acquire()
    second.release()


def test_the_next_owner_stops_what_the_last_one_left(place: Path) -> None:
    lock = DirectoryLock(place)
    lock.acquire()
    orphan = process.spawn(_sleeper(place), extra_fds=(lock.fd,))
    lock.record({orphan.pid: signal.SIGTERM})
    lock.release()
    lock.acquire()
    assert orphan.wait(10) == -signal.SIGTERM
    lock.release()


def test_a_process_that_only_has_the_number_is_left_alone(place: Path) -> None:
    lock = DirectoryLock(place)
    lock.acquire()
    other = process.spawn(_sleeper(place))
    holder = process.spawn(_sleeper(place), extra_fds=(lock.fd,))
    born = process.identity(holder.pid)
    write_private(
        place / "members.json", f'[[{other.pid}, "another boot:1", 9], [{holder.pid}, "{born}", 9]]'
    )
    lock.release()
    lock.acquire()
    assert other.poll() is None
    lock.release()
    process.halt([other, holder], process.GENTLE)


def test_a_process_is_known_by_its_start(place: Path) -> None:
    assert process.identity(os.getpid()) == process.identity(os.getpid()) is not None
    gone = process.spawn(_sleeper(place))
    process.halt([gone], process.GENTLE)
    assert process.identity(gone.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_a_child_dies_with_its_parent(place: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from app.embedded import process
child = process.spawn(process.Program(argv=["/bin/sleep", "60"], log=Path({str(place / "log")!r})))
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    child = int(parent.stdout)
    assert parent.returncode == -signal.SIGKILL
    until(lambda: process.identity(child) is None)


def test_halting_climbs_the_ladder(place: Path) -> None:
    stubborn = process.spawn(
        Program(
            argv=["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"], log=place / "log"
        )
    )
    until(lambda: process.last_line(place / "log") == "deaf")
    process.halt([stubborn], ((signal.SIGTERM, 0.1), (signal.SIGKILL, 10.0)))
    assert stubborn.returncode == -signal.SIGKILL


def test_running_to_the_end_has_a_limit(place: Path) -> None:
    with pytest.raises(TimeoutError, match="sleep did not end"):
        process.run_to_end(_sleeper(place), limit_seconds=0.1)


@pytest.mark.parametrize(
    ("mode", "owner", "allowed"),
    [(0o701, 0, True), (0o700, 0, False), (0o700, 4242, True), (0o011, 4242, False), (0o710, 0, False)],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_rights_of_another_user(place: Path, mode: int, owner: int, *, allowed: bool) -> None:
    place.chmod(mode)
    os.chown(place, owner, 0)
    assert may(User("somebody", 4242, 4242), place, 1) is allowed


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_a_way_is_as_open_as_its_narrowest_part(place: Path) -> None:
    deep = place / "a" / "b"
    deep.mkdir(parents=True)
    somebody = User("somebody", 4242, 4242)
    assert not can_pass(somebody, deep)
    place.chmod(0o711)
    assert can_pass(somebody, deep)


def test_a_socket_goes_where_its_path_is_short_enough(place: Path) -> None:
    near = SocketDirectory(place)
    near.make()
    assert near.path == place / "socket"
    for name in ("x" * SOCKET_DIRECTORY_BYTES_MAX, "a,b"):  # a comma parts two hosts in a URL of Postgres
        far = SocketDirectory(place / name)
        far.make()
        assert len(os.fsencode(far.path)) <= SOCKET_DIRECTORY_BYTES_MAX
        assert far.path.stat().st_mode & 0o777 == 0o700
        there = far.path
        again = SocketDirectory(place / name)
        again.make()
        assert again.path == there, "a crash leaves one folder, not one more each time"
        far.remove()
        assert not there.exists()
    near.remove()
    assert near.path.exists()


def test_nothing_of_anybody_else_s_is_taken(place: Path) -> None:
    (place / "real").mkdir()
    (place / "link").symlink_to(place / "real")
    (place / "file").touch()
    assert not make_own(place / "link")
    assert not make_own(place / "file")
    assert make_own(place / "real")
    if os.geteuid() == 0:
        os.chown(place / "real", 4242, 4242)
        assert not make_own(place / "real")
        assert make_own(place / "real", User("somebody", 4242, 4242))


LOCKED = """\
2026-01-01 10:00:00.000 UTC [7] FATAL:  lock file "/x/.s.PGSQL.5432.lock" already exists
2026-01-01 10:00:00.000 UTC [7] HINT:  Is another postmaster (PID 1) using it?
2026-01-01 10:00:00.000 UTC [7] LOG:  database system is shut down
"""
BROKEN = """\
2026-01-01 10:00:00.000 UTC [7] PANIC:  could not locate a valid checkpoint record
2026-01-01 10:00:00.000 UTC [6] LOG:  startup process was terminated by signal 6
"""
NOT_MADE = """\
initdb: error: could not create directory
initdb: removing data directory
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("one\ntwo\n\n", "two"),
        ("", ""),
        (LOCKED, 'lock file "/x/.s.PGSQL.5432.lock" already exists'),
        (BROKEN, "could not locate a valid checkpoint record"),
        (NOT_MADE, "could not create directory"),
    ],
)
def test_the_reason_of_an_end_is_what_was_fatal(log: str, reason: str, place: Path) -> None:
    (place / "log").write_text(log)
    assert process.reason(place / "log") == reason


def test_who_was_stopped_has_not_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(process.time, "monotonic", lambda: now)
    patience = Patience(2.0)
    now += 3600.0  # a laptop that slept, SIGSTOP
    assert not patience.is_over
    now += 0.9
    assert not patience.is_over
    now += 0.9
    assert patience.is_over
    patience.renew()
    assert not patience.is_over


@pytest.mark.parametrize("members", ["", "{", "5", "{}", '[["a", "b", "c"]]', "[[1]]", "null", "\x00"])
def test_a_record_of_members_that_cannot_be_read_names_nobody(members: str, place: Path) -> None:
    (place / "members.json").write_text(members)
    lock = DirectoryLock(place)
    lock.acquire()
    holder = process.spawn(_sleeper(place), extra_fds=(lock.fd,))
    lock.release()
    lock._members = os.open(place / "members.lock", os.O_RDWR)
    assert lock._recorded() == {}
    lock.release()
    process.halt([holder], process.GENTLE)


def test_a_directory_has_an_owner_while_it_is_held(place: Path) -> None:
    assert not has_owner(place)
    lock = DirectoryLock(place)
    lock.acquire()
    assert has_owner(place)
    lock.release()
    assert not has_owner(place)
    assert not has_owner(place / "lock")
    assert not has_owner(place / "not there")
    (place / "loop").mkdir()
    (place / "loop" / "lock").symlink_to("lock")  # it cannot be opened, by nobody
    assert [has_owner(place / "loop", unsure=unsure) for unsure in (True, False)] == [True, False]


def test_a_lock_that_was_deleted_meanwhile_is_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lock_late(descriptor: int, _limit_seconds: float) -> bool:
        (place / "lock").unlink()
        return directories._try_lock(descriptor)

    monkeypatch.setattr(directories, "_lock_within", lock_late)
    with pytest.raises(ConfigurationError, match="in use"):
        DirectoryLock(place).acquire()


@pytest.mark.parametrize(
    ("said", "code", "aside"),
    [
        ("* Server initialized\n# Bad file format reading the append only file x", 1, True),
        ("# Server initialized\n# Invalid AOF manifest file format", 1, True),
        ("* Server initialized\n# Can't open the append-only file: No space left on device", 1, False),
        (
            "# Could not create server TCP listening socket: Address already in use (append only file)",
            1,
            False,
        ),
        ("* Server initialized\n* Reading RDB base file on AOF loading...", -signal.SIGKILL, False),
    ],
)
def test_data_is_moved_aside_only_if_the_file_is_at_fault(
    place: Path, said: str, code: int, *, aside: bool
) -> None:
    server = EmbeddedValkey(place)
    (place / "appendonlydir").mkdir()
    server.log.write_text(said)
    for _ in range(2):
        assert (place / "appendonlydir").exists()
        server.recover(Exit(code=code, was_ready=False, log_offset=0))
    assert (place / "appendonlydir").exists() is not aside
    assert bool(list(place.glob("appendonlydir.broken-*"))) is aside


def _sleeper(place: Path) -> Program:
    return Program(argv=["/bin/sleep", "60"], log=place / "log")
