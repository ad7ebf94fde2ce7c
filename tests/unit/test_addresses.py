"""The URLs of both stores: what each says, and the one sentence about what cannot be read."""

from pathlib import Path
from typing import Any

import pytest

from app.addresses.postgres import read_postgres
from app.addresses.redis import read_redis
from app.addresses.url import masked
from app.errors import ConfigurationError
from tests.tls import Certificates, make_certificates

SPECIAL = "p@ss/w:rd?#%&+= é"
ENCODED = "p%40ss%2Fw%3Ard%3F%23%25%26%2B%3D%20%C3%A9"

POSTGRES: dict[str, dict[str, Any]] = {
    "postgresql://shop:secret@db:6000/stock": {
        "user": "shop",
        "password": "secret",
        "endpoints": (("db", 6000),),
        "database": "stock",
        "application_name": "sellable",
        "connect_seconds": 5.0,
    },
    "postgres://shop@db": {"endpoints": (("db", 5432),), "database": "shop", "password": ""},
    "postgresql+asyncpg://shop@db/stock": {"database": "stock"},
    f"postgresql://{ENCODED}:{ENCODED}@db/st%2Fock": {
        "user": SPECIAL,
        "password": SPECIAL,
        "database": "st/ock",
    },
    "postgresql://shop:raw+plus@db/stock": {"password": "raw+plus"},
    "postgresql://shop@[::1]:6000/stock": {"endpoints": (("::1", 6000),)},
    "postgresql://shop@[fe80::1%25eth0]/stock": {"endpoints": (("fe80::1%eth0", 5432),)},
    "postgresql://shop@/stock?host=/run/postgresql": {"endpoints": (("/run/postgresql", 5432),)},
    "postgresql:///stock?host=%2Frun%2Fpg&port=6000&user=shop&password=a%26b": {
        "endpoints": (("/run/pg", 6000),),
        "user": "shop",
        "password": "a&b",
    },
    "postgresql://shop@%2Frun%2Fpg/stock": {"endpoints": (("/run/pg", 5432),)},
    "postgresql://shop@a:1,b:2/stock?target_session_attrs=read-write": {
        "endpoints": (("a", 1), ("b", 2)),
        "session": "read-write",
    },
    "postgresql://shop@db/stock?connect_timeout=9&application_name=north": {
        "connect_seconds": 9.0,
        "application_name": "north",
    },
    "postgresql://shop@db/?dbname=stock": {"database": "stock"},
    "  postgresql://shop@db/stock\n": {"database": "stock"},
}

REDIS: dict[str, dict[str, Any]] = {
    "redis://cache": {"host": "cache", "port": 6379, "path": "", "database": 0, "tls": None, "password": ""},
    "redis://:secret@cache:7000/3": {"user": "", "password": "secret", "port": 7000, "database": 3},
    f"redis://{ENCODED}:{ENCODED}@cache/0": {"user": SPECIAL, "password": SPECIAL},
    "redis://cache?db=4&username=api&password=x&socket_connect_timeout=0.5": {
        "database": 4,
        "user": "api",
        "password": "x",
        "connect_seconds": 0.5,
    },
    "redis://[::1]:7000/": {"host": "::1", "port": 7000},
    "unix:///run/redis.sock?db=2": {"path": "/run/redis.sock", "database": 2},
    "unix://api:secret@/run/redis.sock": {"user": "api", "password": "secret", "path": "/run/redis.sock"},
}


@pytest.mark.parametrize("url", POSTGRES)
def test_what_a_url_of_the_ledger_says(url: str) -> None:
    address = read_postgres(url)
    assert {name: getattr(address, name) for name in POSTGRES[url]} == POSTGRES[url]


@pytest.mark.parametrize("url", REDIS)
def test_what_a_url_of_the_hot_store_says(url: str) -> None:
    address = read_redis(url)
    assert {name: getattr(address, name) for name in REDIS[url]} == REDIS[url]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def verification(context: Any) -> str:
    if context is None:
        return "plain"
    return f"{context.verify_mode.name} {'host' if context.check_hostname else 'any host'}"


ANY, CHAIN, WHOLE = "CERT_NONE any host", "CERT_REQUIRED any host", "CERT_REQUIRED host"
WAYS = {
    "": [ANY, "plain"],
    "?sslmode=disable": ["plain"],
    "?sslmode=allow": ["plain", ANY],
    "?sslmode=prefer": [ANY, "plain"],
    "?sslmode=require": [ANY],
    "?ssl=require": [ANY],
    "?sslmode=require&ssl=require": [ANY],
    "?sslmode=require&sslrootcert={ca}": [CHAIN],
    "?sslmode=verify-ca": [CHAIN],
    "?ssl=verify_ca&sslrootcert={ca}": [CHAIN],
    "?sslmode=verify-full&sslrootcert={ca}&sslcert={cert}&sslkey={key}": [WHOLE],
    "?sslmode=verify-full": [WHOLE],
    "?sslmode=require&sslrootcert=system": [WHOLE],
}


@pytest.mark.parametrize("query", WAYS)
def test_what_each_sslmode_tries_and_checks(query: str, certificates: Certificates) -> None:
    url = f"postgresql://shop@db/stock{fill(query, certificates)}"
    assert [verification(way) for way in read_postgres(url).ways] == WAYS[query]


TLS = {
    "": WHOLE,
    "?ssl_ca_certs={ca}": WHOLE,
    "?ssl_ca_certs={ca}&ssl_certfile={cert}&ssl_keyfile={key}": WHOLE,
    "?ssl_cert_reqs=required&ssl_check_hostname=false": CHAIN,
    "?ssl_check_hostname=False": CHAIN,
    "?ssl_cert_reqs=optional": WHOLE,
    "?ssl_cert_reqs=none": ANY,
}


@pytest.mark.parametrize("query", TLS)
def test_what_a_rediss_url_checks(query: str, certificates: Certificates) -> None:
    address = read_redis(f"rediss://cache{fill(query, certificates)}")
    assert verification(address.tls) == TLS[query]


def fill(query: str, certificates: Certificates) -> str:
    return query.format(
        ca=certificates.authority,
        cert=certificates.client,
        key=certificates.client_key,
        other=certificates.stranger,
        none=certificates.authority.with_name("none.pem"),
        text=Path(__file__),
    )


SECRET = "s3cret"
REFUSED = {
    "somewhere": "is no URL",
    "mysql://u@h/d": "begins with mysql://, which must be postgresql://",
    "postgresql:///d": "names no host: it is postgresql://user:password@host:5432/database",
    "postgresql://u@:5432/d": "names no host",
    "postgresql://u@h:port/d": "has a port that is no number from 1 to 65535",
    "postgresql://u@h:70000/d": "has a port that is no number from 1 to 65535",
    "postgresql://u@::1/d": "an IPv6 address stands in brackets",
    "postgresql://u@[::1/d": "without its closing bracket",
    "postgresql://u:s3cret/x@h/d": "write special characters of a user or password percent-encoded",
    "postgresql://u:s3cret?x@h/d": "write special characters of a user or password percent-encoded",
    "postgresql://u:1?s3cret=x@h/d": "write special characters of a user or password percent-encoded",
    "postgresql://u:s3cret#x@h/d": "write special characters of a user or password percent-encoded",
    "postgresql://u:s3cret%@h/d": "write a % itself as %25",
    "postgresql://u:s3cret%ff@h/d": "are no UTF-8 text",
    "postgresql://u:s3cret%00@h/d": "a character of code 0",
    "postgresql://u:s3 cret@h/d": "holds a blank",
    "postgresql://u@h/d?sslmod=require": "has a parameter 'sslmod' that is not known (did you mean sslmode?)",
    "postgresql://u@h/d?sslmode=on": "has sslmode=on, which must be one of: disable, allow, prefer, require",
    "postgresql://u@h/d?ssl=true": "has sslmode=true, which must be one of",
    "postgresql://u@h/d?sslmode=require&ssl=disable": "say different things",
    "postgresql://u@h/d?sslmode": "a parameter without a value",
    "postgresql://u@h/d?sslmode=require&sslmode=require": "has the parameter 'sslmode' twice",
    "postgresql://u@h/d?connect_timeout=0": "has connect_timeout=0, which must be a number of seconds",
    "postgresql://u@h/d?connect_timeout=x": "has connect_timeout=x, which must be a number of seconds",
    "postgresql://u@a,b/d?port=1,2,3": "names 2 hosts and 3 ports",
    "postgresql://u@h/d?target_session_attrs=standby": "must be one of: any, read-write, primary",
    "postgresql://u@h/d?sslmode=verify-ca&sslrootcert={none}": "none.pem, which cannot be read: No such file",
    "postgresql://u@h/d?sslmode=verify-ca&sslrootcert={text}": "in which there is no certificate in PEM form",
    "postgresql://u@h/d?sslmode=require&sslkey={key}": "has sslkey without sslcert",
    "postgresql://u@h/d?sslmode=require&sslcert={cert}&sslkey={none}": "has sslkey=",
    "postgresql://u@h/d?sslmode=require&sslcert={cert}&sslkey={other}": "which makes no pair with the key of",
    "http://h": "begins with http://, which is not supported",
    "redis+cluster://h:1,h:2": "begins with redis+cluster://, which is not supported",
    "redis+sentinel://h:1,h:2/main": "begins with redis+sentinel://, which is not supported",
    "redis://": "names no host",
    "redis://a,b": "names more than one host",
    "redis://h/first": "names the database 'first', which must be a number",
    "redis://h/1?db=2": "names two databases",
    "redis://h?ssl_ca_certs=x": "has ssl_ca_certs, which belongs to a URL that begins with rediss://",
    "redis://h?decode_responses=true": "has a parameter 'decode_responses' that is not known",
    "redis://:s3cret/x@h": "write special characters of a user or password percent-encoded",
    "redis://:s3cret:x@h:y": "has a port that is no number",
    "rediss://h?ssl_cert_reqs=no": "must be one of: required, optional, none",
    "rediss://h?ssl_check_hostname=x": "must be one of: true, yes, 1, false, no, 0",
    "rediss://h?ssl_ca_certs={none}": "none.pem, which cannot be read: No such file",
    "rediss://h?ssl_certfile={cert}&ssl_keyfile={other}": "which makes no pair with the key of",
    "unix://relative.sock": "must name the file of a socket",
    "unix://": "must name the file of a socket",
}


@pytest.mark.parametrize("url", REFUSED)
def test_what_cannot_be_read_is_one_sentence(url: str, certificates: Certificates) -> None:
    is_redis = url.startswith(("redis", "unix", "http"))
    with pytest.raises(ConfigurationError) as refused:
        (read_redis if is_redis else read_postgres)(fill(url, certificates))
    said = str(refused.value)
    assert said.startswith(f"SELLABLE_{'REDIS' if is_redis else 'DATABASE'}_URL ")
    assert REFUSED[url] in said
    assert "\n" not in said
    assert SECRET not in said


def test_nobody_reads_a_password_over_a_shoulder() -> None:
    shown = {
        "redis://:s3cret@h/0": "redis://:********@h/0",
        "redis://api:s3:cret@h/0": "redis://api:********@h/0",
        "redis://api:s3/cret@h/0": "redis://api:********@h/0",
        "redis://api:s?s3cret@h/0": "redis://********",
        "redis://h?db=1&password=s3cret": "redis://h?db=1&password=********",
        "postgresql://u:s3cret@h/d?sslpassword=s3cret&sslmode=require": (
            "postgresql://u:********@h/d?sslpassword=********&sslmode=require"
        ),
        "u:s3cret@h": "********",
        "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    }
    assert {url: masked(url) for url in shown} == shown
    assert SECRET not in repr(read_postgres("postgresql://u:s3cret@h/d"))
    assert SECRET not in repr(read_redis("redis://:s3cret@h"))
