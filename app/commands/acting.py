"""Who changes something by a command: the command, and the user of this machine who runs it."""

import os
import pwd


def acting_as(command: str) -> str:
    """Return what the ledger notes of a change, such as `sellable import-stock (alice)`."""
    user = os.geteuid()
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:  # a container's user, which has no name
        name = str(user)
    return f"sellable {command} ({name})"
