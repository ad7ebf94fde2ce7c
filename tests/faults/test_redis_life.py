"""What happens to Redis' files between two of its lives."""

from pathlib import Path

import pytest

from tests.faults.redis_life import prepare


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two files of an AOF: one that was synced up to its 6th byte, one whose last bytes nobody synced at all."""
    place = tmp_path / "appendonlydir"
    place.mkdir()
    (place / "appendonly.aof.1.base.rdb").write_bytes(b"base")
    (place / "appendonly.aof.1.incr.aof").write_bytes(b"0123456789")
    (place / "appendonly.aof.2.incr.aof").write_bytes(b"never synced")
    inode = (place / "appendonly.aof.1.incr.aof").stat().st_ino
    (tmp_path / "synced").write_text(f"{inode} 3\n{inode} 6\n")
    return place


def sizes(files: Path) -> list[int]:
    return [file.stat().st_size for file in sorted(files.iterdir())]


@pytest.mark.parametrize(
    ("order", "expected"),
    [("", [4, 10, 12]), ("power-cut", [4, 6, 0]), ("chop 5", [4, 10, 7]), ("chop 500", [4, 10, 0])],
)
def test_orders(files: Path, order: str, expected: list[int]) -> None:
    if order:
        (files.parent / "before-start").write_text(order)
    prepare(files.parent)
    assert sizes(files) == expected
    prepare(files.parent)  # an order is carried out once
    assert sizes(files) == expected


def test_deleting(files: Path) -> None:
    (files.parent / "before-start").write_text("delete")
    prepare(files.parent)
    assert not files.exists()
