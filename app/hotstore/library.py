"""The function library: the files of `lua/`, joined, and named by a hash of their content.

Old and new processes can so run side by side, and a function never changes under its name.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app import resources

SHARED = (
    "register",
    "numbers",
    "shard",
    "stock",
    "counted",
    "documents",
    "sourcing",
    "locks",
    "ops",
    "told",
    "steps",
    "shipments",
    "booking",
    "transfers",
    "fence",
)
"""What the commands stand on; each file sees those before it."""
COMMANDS = (
    "lock",
    "unlock",
    "remember",
    "reopen",
    "confirm",
    "extend",
    "deduct",
    "void",
    "replace",
    "expire",
    "receive",
    "return",
    "adjust",
    "exchange",
    "opening",
    "transfer",
    "transfer_ship",
    "transfer_receive",
    "transfer_cancel",
    "transfer_close",
    "merge",
    "buffer",
    "count",
    "inbox",
    "accept",
    "recall",
    "reads",
    "may",
    "mark",
    "limit",
    "compensate",
    "recovery",
    "repair",
)
"""Each is a function of its own and sees the shared files only: Lua allows 200 local names in a function, and the
shared files alone have most of them."""
FAMILY = "sellable_"


@dataclass(frozen=True, slots=True)
class Library:
    """What is loaded into the server; `suffix` ends every function's name."""

    name: str
    suffix: str
    code: str

    def function(self, name: str) -> str:
        """Return the full name of a function, such as `lock_3fa9c1d2`."""
        return f"{name}{self.suffix}"


def build(folder: Path) -> Library:
    """Join the files of `folder`; raise `FileNotFoundError` if one is missing."""
    parts = [(folder / "shared" / f"{name}.lua").read_text(encoding="utf-8") for name in SHARED]
    for name in COMMANDS:
        text = (folder / f"{name}.lua").read_text(encoding="utf-8")
        parts.append(f";(function()\n{text}end)()\n")
    source = "\n".join(parts)
    suffix = "_" + hashlib.sha256(source.encode()).hexdigest()[:8]
    name = f"{FAMILY}{suffix[1:]}"
    return Library(name, suffix, f"#!lua name={name}\nlocal SUFFIX = '{suffix}'\n{source}")


@cache
def library() -> Library:
    """Return the library of this version of the code."""
    return build(resources.folder("lua"))
