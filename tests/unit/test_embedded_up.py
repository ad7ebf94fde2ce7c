import socket

import pytest
import typer

from app.commands import up
from app.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_loopback_needs_no_keys(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SELLABLE_API_KEYS", raising=False)
    up._refuse_open_address(host)


def test_any_other_address_needs_keys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SELLABLE_API_KEYS", raising=False)
    with pytest.raises(typer.Exit) as stopped:
        up.up(host="0.0.0.0", port=0)  # noqa: S104
    assert stopped.value.exit_code == 1
    assert "without SELLABLE_API_KEYS" in capsys.readouterr().err
    monkeypatch.setenv("SELLABLE_API_KEYS", "somekey:read")
    up._refuse_open_address("0.0.0.0")  # noqa: S104


def test_every_address_is_reached_by_loopback() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        assert up._url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_is_at_most_65535() -> None:
    with pytest.raises(ConfigurationError, match="no port 99999"):
        up._listen("127.0.0.1", 99_999)
