"""What a client trusts and shows: TLS contexts from files, made alike for both stores on every version of Python."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from app.addresses.url import UrlReader


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files that a URL names, each with the parameter that names it; '' for none."""

    authorities: str = ""
    """Certificates of the authorities that are trusted; without it those of the system are."""
    authorities_folder: str = ""
    authorities_text: str = ""
    certificate: str = ""
    key: str = ""
    key_password: str = ""


@dataclass(frozen=True, slots=True)
class TlsNames:
    """What the parameters of `TlsFiles` are called in the URL, for sentences."""

    authorities: str
    certificate: str
    key: str


def client_context(
    reader: UrlReader, names: TlsNames, files: TlsFiles, *, verify: bool, check_host: bool
) -> ssl.SSLContext:
    """Return a context for connections to a server.

    `verify`: its certificate comes from an authority that is trusted; `check_host`: and is for the host's name.
    Raises `ConfigurationError` if a file cannot be used.
    """
    # Not create_default_context: from Python 3.13 on it refuses certificates of many authorities that people made.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = verify and check_host
    context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    _trust(context, reader, names, files)
    if files.key and not files.certificate:
        raise reader.refuse(f"has {names.key} without {names.certificate}")
    if files.certificate:
        _show(context, reader, names, files)
    return context


def _trust(context: ssl.SSLContext, reader: UrlReader, names: TlsNames, files: TlsFiles) -> None:
    if not (files.authorities or files.authorities_folder or files.authorities_text):
        context.load_default_certs()
        return
    if files.authorities:
        _read(reader, names.authorities, files.authorities)
    try:
        context.load_verify_locations(
            files.authorities or None, files.authorities_folder or None, files.authorities_text or None
        )
    except (OSError, ValueError) as error:
        raise reader.refuse(
            f"has {names.authorities}={files.authorities or files.authorities_folder or '…'}, "
            "in which there is no certificate in PEM form"
        ) from error


def _show(context: ssl.SSLContext, reader: UrlReader, names: TlsNames, files: TlsFiles) -> None:
    _read(reader, names.certificate, files.certificate)
    if files.key:
        _read(reader, names.key, files.key)
    try:
        # Without a password of its own OpenSSL would ask the terminal for one.
        context.load_cert_chain(files.certificate, files.key or None, lambda: files.key_password)
    except (OSError, ValueError) as error:
        raise reader.refuse(
            f"has {names.certificate}={files.certificate}, which makes no pair with the key of "
            f"{files.key or 'the same file'} (both in PEM form, the key without a password or with the right one)"
        ) from error


def _read(reader: UrlReader, name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        raise reader.refuse(f"has {name}={path}, which cannot be read: {error.strerror}") from error
