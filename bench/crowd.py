"""`python -m bench.crowd [--connections 9000]`: very many slow connections at once beside some that are kept.

A quarter says nothing, a quarter sends half a head, a quarter half a body, and a quarter sends a head a byte at a
time. It prints when the last of each kind was ended, and how long pages took on the kept ones. Both sides need a
file for each connection: the number is bounded by `ulimit -n` of this process, and the service turns away what is
beyond its own bound. Exit 1 if a connection stays, or a page fails.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import uvloop

from bench.worst_key import PAGE_CONNECTIONS, Shop, pages, running

HEAD = b"POST /v1/locks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
KINDS = {
    "silent": b"",
    "half a head": HEAD,
    "half a body": HEAD + b"Content-Length: 100\r\n\r\n{",
    "a head that trickles": HEAD + b"X-Y: ",
}
TRICKLE_SECONDS = 2.0
KEPT_SECONDS = 50.0
END_SECONDS_MAX = 60.0
FILES_BESIDE = 500


class Crowd:
    """When the last connection of each kind ended, and what was said to them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.last: dict[str, float] = {}
        self.answers: Counter[str] = Counter()
        self.left = 0

    async def one(self, kind: str) -> None:
        """Open a connection, be slow, and wait for its end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        began = time.monotonic()
        writer.write(KINDS[kind])
        drip = asyncio.create_task(self._trickle(writer)) if kind.endswith("trickles") else None
        try:
            said = await asyncio.wait_for(reader.read(), END_SECONDS_MAX)
            self.answers[f"{kind}: {said[9:12].decode() or 'closed'}"] += 1
            self.last[kind] = max(self.last.get(kind, 0), time.monotonic() - began)
        except ConnectionError:
            self.answers[f"{kind}: reset"] += 1
        except TimeoutError:
            self.left += 1
        finally:
            if drip is not None:
                drip.cancel()
            writer.close()

    async def _trickle(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"y")
            await asyncio.sleep(TRICKLE_SECONDS)


async def measure(shop: Shop, count: int) -> int:
    """Open them all, wait for their end, and print what came of it; return the exit code."""
    crowd, kinds = Crowd(shop.port), list(KINDS)
    # From a process of its own: this one is busy with its connections.
    kept = asyncio.create_task(asyncio.to_thread(pages, shop.port, KEPT_SECONDS))
    await asyncio.sleep(1)
    slow = (crowd.one(kinds[number % len(kinds)]) for number in range(count))
    await asyncio.gather(*slow, return_exceptions=True)
    for kind, last in crowd.last.items():
        print(f"{kind:24} the last ended after {last:5.1f} s")
    print(f"answers: {dict(crowd.answers)}; left open after {END_SECONDS_MAX:.0f} s: {crowd.left}")
    found = await kept
    print(f"pages on {PAGE_CONNECTIONS} kept connections: {found.answers}, ms: {found.latency_ms}")
    return int(crowd.left > 0 or found.others("200") > 0)


def main() -> int:
    """Measure, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=10_000)
    asked = parser.parse_args()
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(asked.connections, files - FILES_BESIDE)
    if count < asked.connections:
        print(f"{count:,} connections: this process may open {files:,} files (at most {most:,})")
    with tempfile.TemporaryDirectory(prefix="sb-") as place, running(Path(place)) as shop:
        return uvloop.run(measure(shop, count))


if __name__ == "__main__":
    sys.exit(main())
