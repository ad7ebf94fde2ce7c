"""`sellable keys`: new keys for those who call the API."""

import secrets

from app.api.api_keys import entry_of, last_day

PREFIX = "sellable_"
"""Scanners that look for secrets in source code go by such a beginning."""
SECRET_BYTES = 32


def keys(*, caller: str, scopes: str, expires: str | None) -> None:
    """Print a new key, once, and its entry for the settings, which holds only a hash of it."""
    day = last_day(expires) if expires else ""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    until = f", until the end of {day} (UTC)" if day else ""
    print(
        f"key    {secret}\n"
        f"entry  {entry_of(caller, secret, scopes, day)}\n\n"
        f"The key is shown only now: {caller} sends it as `Authorization: Bearer …`{until}.\n"
        "The entry is a line of the file that SELLABLE_API_KEYS_FILE names, or a part of SELLABLE_API_KEYS."
    )
