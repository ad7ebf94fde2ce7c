import socket
from pathlib import Path

import pytest

from app.commands import up
from app.commands.address import check_host
from app.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    check_host(host, has_keys=False)


def test_any_other_address_needs_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SELLABLE_API_KEYS", raising=False)
    with pytest.raises(ConfigurationError, match="no API keys are set"):
        up.up(host="0.0.0.0", port=0, data_dir=tmp_path, workers=1, demo=False)  # noqa: S104
    check_host("0.0.0.0", has_keys=True)  # noqa: S104


def test_every_address_is_reached_by_loopback() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        assert up._url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_is_at_most_65535() -> None:
    with pytest.raises(ConfigurationError, match="no port 99999"):
        up._listen("127.0.0.1", 99_999)
