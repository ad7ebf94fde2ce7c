"""Keys fail closed: what is set and yields no key, or could be read as two things, is refused, everywhere."""

import hashlib
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.api import auth
from app.api.api_keys import DEFAULT_LIMITS, digest_of, keys_of, load_api_keys, read_api_keys
from app.api.auth import ApiKeys
from app.api.key_file import KeyFile
from app.api.problems import ProblemError
from app.api.rates import Rate, Recent
from app.cli import cli
from app.commands import serve, up
from app.errors import ConfigurationError
from app.settings import Settings

HASH = hashlib.sha256(b"s" * 40).hexdigest()
LONG = "0123456789abcdef"

NO_KEY = ["", " ", ",", " , ,\n", "# nothing\n", "\t"]
NOT_USABLE = {
    "no parts": "shop",
    "no scopes": "shop:secret",
    "no secret": "shop::read",
    "no name": ":secret:read",
    "a scope that is none": "shop:secret:raed",
    "no scope": "shop:secret:",
    "two by semicolon": "a:one:read;b:two:read",
    "two by a blank": "a:one:read b:two:read",
    "two by a bar": "a:one:read|b:two:read",
    "two by plus": "a:one:read+b:two:read",
    "two by a slash": "a:one:read/b:two:read",
    "two, the first misspelt": "a:one:raed;b:two:read",
    "a secret with a blank": "a:on e:read",
    "a secret with a colon": "a:on:e:read",
    "a secret beyond ASCII": "a:sécret:read",
    "quotes around it": "'a:one:read'",
    "a hash that is too short": f"a:sha256:{HASH[:-1]}:read",
    "no hash": "a:sha256:read",
    "no hash, and a day": "a:sha256:read:20271231",
    "no day": "a:one:read:tomorrow",
    "a day that never was": f"a:sha256:{HASH}:read:20270230",
    "an unknown limit": "a:one:read speed=1",
    "a limit twice": "a:one:read rate=1 rate=2",
    "a limit that is no number": "a:one:read rate=-1",
    "a rate of nothing": "a:one:read rate=0",
    "the same secret twice": "a:one:read,b:one:read",
    "the same secret twice, once hashed": f"a:{'s' * 40}:read,b:sha256:{HASH}:read",
}  # fmt: skip


@pytest.mark.parametrize("text", NO_KEY)
def test_what_is_set_and_yields_no_key_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    for given in (
        lambda: load_api_keys(text),
        lambda: load_api_keys(None, str(file)),
        lambda: load_api_keys(f"a:{LONG}:read", str(file)),
        lambda: keys_of(Settings(api_keys=text)),
    ):
        with pytest.raises(ConfigurationError, match="holds no key"):
            given()
    for missing in ("", str(tmp_path / "none"), str(tmp_path)):
        with pytest.raises(ConfigurationError, match="SELLABLE_API_KEYS_FILE"):
            load_api_keys(None, missing)


def test_no_keys_only_where_none_are_asked_for() -> None:
    assert load_api_keys(None) == keys_of(Settings()) == {}
    assert ApiKeys().open


@pytest.mark.parametrize("text", NOT_USABLE.values(), ids=NOT_USABLE)
def test_what_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not usable"):
        read_api_keys(text)


def test_entries() -> None:
    text = f"""# the shop's
    shop:{LONG}:read+checkout:20991231 rate=50 unending=1
    wms:sha256:{HASH}:warehouse, our boss:another.secret/x+y==:admin
    """
    shop, wms, boss = read_api_keys(text).values()
    assert (shop.name, shop.scopes, shop.secret_chars) == ("shop", {"read", "checkout"}, 16)
    assert (shop.limits.rate, shop.limits.unending, shop.limits.burst) == (50, 1, DEFAULT_LIMITS.burst)
    assert time.gmtime(shop.expires_at)[:4] == (2100, 1, 1, 0)
    assert (wms.name, wms.secret_chars) == ("wms", None)
    assert boss.name == "our boss"
    assert read_api_keys(text)[digest_of(b"s" * 40)] == wms


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
@pytest.mark.parametrize("text", [" ", ",", "a:short:read", "a:fifteen-letters:read"])
def test_up_starts_nothing_with_such_keys(
    host: str, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SELLABLE_API_KEYS", text)
    with pytest.raises(ConfigurationError):
        up.up(host=host, port=0, data_dir=tmp_path / "data", workers=1, demo=False)
    assert not (tmp_path / "data").exists()


@pytest.fixture
def anywhere() -> Any:
    """A listening socket that other machines could reach."""
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        yield listener


@pytest.mark.parametrize("text", [None, " ", "a:short:read"])
def test_the_socket_counts_that_was_handed_down(
    text: str | None, anywhere: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default of --host is loopback; the socket is not."""
    if text is None:
        monkeypatch.delenv("SELLABLE_API_KEYS", raising=False)
    else:
        monkeypatch.setenv("SELLABLE_API_KEYS", text)
    monkeypatch.setenv("SELLABLE_REDIS_URL", "redis://127.0.0.1:1")
    with pytest.raises(ConfigurationError):
        serve.serve("127.0.0.1", 8080, os.dup(anywhere.fileno()), open_api=_never)
    with pytest.raises(ConfigurationError):
        serve.serve("0.0.0.0", 0, None, open_api=_never)  # noqa: S104


def _never(*_: object, **__: object) -> Any:
    raise AssertionError("it was served")


def test_an_expired_key_is_none() -> None:
    keys = ApiKeys(read_api_keys(f"a:{LONG}:read:20991231,b:{LONG}b:read:20200101"))
    assert keys.find(b"Bearer " + LONG.encode())
    assert keys.find(b"Bearer " + LONG.encode() + b"b") is None


# A file of keys


async def test_a_file_of_keys_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"a:{LONG}:read\n")
    settings = Settings(api_keys_file=str(file))
    keys = ApiKeys(keys_of(settings))
    kept = KeyFile(keys, lambda: keys_of(settings, secret_chars_min=16))

    def known(secret: str) -> bool:
        return keys.find(b"Bearer " + secret.encode()) is not None

    file.write_text(f"b:{LONG}b:read\n")
    await kept.refresh()
    assert (known(LONG), known(LONG + "b")) == (False, True)
    for broken in ("", "nonsense", "c:short:read"):
        file.write_text(broken)
        await kept.refresh()
        assert known(LONG + "b")
        (note,) = kept.notes()
        assert "SELLABLE_API_KEYS_FILE" in note or "the key c" in note
    file.unlink()
    await kept.refresh()
    assert known(LONG + "b")
    file.write_text(f"a:{LONG}:read\n")
    await kept.refresh()
    assert (known(LONG), known(LONG + "b"), kept.notes()) == (True, False, [])


# New ones


def test_a_new_key_is_shown_once_and_hashed() -> None:
    done = CliRunner().invoke(
        cli, ["keys", "new", "shop", "--scopes", "read+checkout", "--expires", "2099-12-31"]
    )
    assert done.exit_code == 0
    key, entry = (line.split()[1] for line in done.stdout.splitlines()[:2])
    assert key.startswith("sellable_")
    assert len(key) == len("sellable_") + 43  # 32 bytes
    assert key not in entry
    keys = ApiKeys(read_api_keys(entry))
    found = keys.find(f"Bearer {key}".encode())
    assert found is not None
    assert (found.name, found.scopes) == ("shop", {"read", "checkout"})
    assert CliRunner().invoke(cli, ["keys", "new", "shop", "--scopes", "read"]).stdout.split()[1] != key


@pytest.mark.parametrize(
    "arguments",
    [
        ["a:b", "--scopes", "read"],
        ["a", "--scopes", "raed"],
        ["a", "--scopes", ""],
        ["a"],
        ["a", "--scopes", "read", "--expires", "2020-01-01"],
        ["a", "--scopes", "read", "--expires", "soon"],
    ],
)
def test_wrong_new_keys_are_usage_errors(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["keys", "new", *arguments]).exit_code == 2


# How often


def test_a_rate_has_a_burst_and_refills() -> None:
    rate = Rate(10, 3)
    assert [rate.take(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert rate.take(100.0) == pytest.approx(0.1)
    assert rate.take(100.05) == pytest.approx(0.05)
    assert rate.take(100.11) == 0.0
    assert [rate.take(200.0) > 0 for _ in range(5)] == [False, False, False, True, True]


def test_what_was_recent_is_counted_by_caller_and_bounded() -> None:
    recent = Recent(3, 10.0, callers_max=2)
    assert [recent.add("a", at) for at in (0.0, 1.0, 2.0)] == [0.0, 0.0, 0.0]
    assert recent.add("a", 3.0) == pytest.approx(7.0)
    assert recent.add("b", 3.0) == 0.0
    assert recent.add("a", 30.0) == 0.0
    recent.add("c", 31.0)
    recent.add("d", 31.0)
    assert len(recent._times) == 2


def test_a_key_is_refused_when_it_asks_too_often_and_told_so() -> None:
    keys = ApiKeys(
        read_api_keys(f"a:{LONG}:read rate=1 burst=2,a:{LONG}2:read rate=1 burst=2,b:{LONG}b:read")
    )
    given = b"Bearer " + LONG.encode()
    for header in (given, given + b"2"):  # two secrets of one name are one caller
        assert keys.check(header, "read")
    with pytest.raises(ProblemError) as caught:
        keys.check(given, "read")
    told = caught.value.problem
    assert (told.status, told.code) == (429, "too_many_requests")
    assert told.all_headers() == {
        "Retry-After": "1", "RateLimit": '"key";r=0;t=1', "RateLimit-Policy": '"key";q=2;w=2'
    }  # fmt: skip
    assert keys.check(given, "read", is_counted=True)
    assert keys.check(given + b"b", "read")
    assert keys.replace(read_api_keys(f"a:{LONG}:read+admin rate=1 burst=2"))
    with pytest.raises(ProblemError):  # other scopes are no new burst
        keys.check(given, "read")


@pytest.mark.parametrize(
    ("address", "neighbour", "other"),
    [("192.0.2.1", "192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")],
)
def test_wrong_keys_are_refused_faster_and_right_ones_never(address: str, neighbour: str, other: str) -> None:
    told: list[int] = []
    keys = ApiKeys(read_api_keys(f"a:{LONG}:read"), on_wrong_key=lambda: told.append(1))

    def status(header: bytes | None, at: str) -> int:
        with pytest.raises(ProblemError) as caught:
            keys.check(header, "read", at)
        return caught.value.problem.status

    assert {status(b"Bearer wrong", address) for _ in range(auth.WRONG_KEYS_MAX)} == {401}
    assert status(b"Bearer wrong", neighbour) == 429
    assert status(b"Bearer wrong", other) == 401
    assert status(None, address) == 401  # none is no guess
    assert keys.check(b"Bearer " + LONG.encode(), "read", address)
    assert len(told) == auth.WRONG_KEYS_MAX + 2


@pytest.mark.parametrize("text", ["shop:secret:", "shop:secret: ", "shop:sha256:" + "0" * 64 + ":"])
def test_a_key_without_scopes_is_told_so(text: str) -> None:
    with pytest.raises(ConfigurationError, match="the scopes of the key shop must be some of"):
        load_api_keys(text)
