"""Every setting, once: built at the start, passed down, never read as a global."""

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.codes import check_code, check_warehouse
from app.domain.inbox import SOURCE_LENGTH_MAX, Rules, SourceLimits, read_sources
from app.domain.reconciliation import read_policy
from app.domain.shortages import Choice
from app.domain.times import SKEW_SECONDS_MAX
from app.domain.words import Durability
from app.environment import SETTINGS_PREFIX
from app.errors import ConfigurationError

OTHER_VARIABLES = frozenset({"SELLABLE_API_KEY"})
"""Read by commands that are clients, and no settings of a service."""

# What a container engine sets for a service named `sellable…`: names and values are its own.
_LINKED_NAME = re.compile(r"SELLABLE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_\w+)")
_LINKED_VALUE = re.compile(r"(tcp|udp|sctp)://.*")


def _setting(default: Any, description: str, *, unit: str = "", promise: str = "", **limits: Any) -> Any:
    extra: dict[str, Any] = {"unit": unit, "promise": promise}
    return Field(default, description=description, json_schema_extra=extra, **limits)


class Settings(BaseSettings):
    """The settings of one process, from the environment (`SELLABLE_…`)."""

    model_config = SettingsConfigDict(env_prefix="SELLABLE_", extra="ignore", frozen=True)

    data_dir: str = _setting(
        ".sellable", "where `up` keeps its data and commands look for its run.json, without --data-dir"
    )
    redis_url: str = _setting("", "the hot store; set by `up` for its own")
    api_url: str = _setting("", "where commands find the HTTP API; set by `up` for its own")
    database_url: str = _setting("", "the ledger, as postgresql://…; set by `up` for its own")
    prefix: str = _setting(
        "",
        "sets two installations on one Redis apart: letters, digits, - and _",
        pattern=r"^[A-Za-z0-9_-]{0,32}$",
    )
    redis_shared: bool = _setting(
        False,  # noqa: FBT003 - a default
        "start on a Redis that holds other programs' keys, too",
    )
    api_keys: SecretStr = _setting(
        SecretStr(""),
        "keys and scopes: name:secret:scope+scope,… with scopes read, checkout, warehouse, admin; none: open, "
        "on loopback only",
    )
    api_keys_file: str = _setting(
        "", "a file of such keys, one a line (`sellable keys new` makes them); read again when it changes"
    )
    allowed_hosts: str = _setting(
        "",
        "without keys: names beside localhost and those without a dot by which the service may be called, "
        "comma-separated, maybe with a port",
    )
    admin_port: int = _setting(
        0,
        "a port of its own for /metrics and /docs; 0: beside the rest, where they need a key that may read if keys "
        "are set",
        ge=0,
        le=65_535,
    )
    connections_max: int = _setting(
        0,
        "how many connections an API process serves at once; 0: as many as its limit of open files allows",
        unit="connections",
        ge=0,
    )
    warehouse_order: str = _setting("", "how sourcing ranks warehouses: codes, comma-separated; then by code")
    new_warehouses: Literal["listed", "any"] = _setting(
        "listed",
        "listed: a warehouse has to be listed before anything names it; any: every code is taken for one",
    )
    durability: Durability = _setting("disk", "the level when a request names none", promise="3, 5, 6")
    call_deadline_seconds: float = _setting(
        2.0,
        "how long the hot store may take to answer before a command is unknown",
        unit="s",
        promise="7",
        gt=0,
        le=60,
    )
    durability_wait_seconds: float = _setting(
        5.0, "how long a request waits for the level it asked for", unit="s", promise="5, 6", gt=0, le=60
    )
    replicas: int = _setting(
        1,
        "how many replicas the hot store has: the level `replica` waits for all of them, and for more if more follow",
        promise="6",
        ge=0,
        le=100,
    )
    lock_ttl_seconds: int = _setting(
        900, "a lock's expiry when a request names none", unit="s", promise="2", ge=1, le=2_592_000
    )
    horizon_seconds: int = _setting(
        86_400, "how long ids are remembered after their document ended", unit="s", promise="7", ge=60
    )
    horizon_entries_max: int = _setting(
        5_000_000,
        "how many persisted events' ids are remembered at most",
        unit="events",
        promise="7, 11",
        ge=1_000,
    )
    drain_seconds: float = _setting(
        3.0,
        "how long `serve` goes on after SIGTERM, with /readyz at 503, so that balancers send nothing more when it ends",
        unit="s",
        ge=0,
        le=300,
    )
    stale_seconds_max: int = _setting(
        60, "how long pages are served the last known answer while Redis is away", unit="s", ge=0
    )
    stale_entries_max: int = _setting(100_000, "how many last known answers are kept", unit="SKUs", ge=0)
    near_cache_entries_max: int = _setting(
        100_000, "how many product pages an API process keeps; 0: none", unit="SKUs", ge=0
    )
    cache_control: str = _setting("no-cache", "the Cache-Control header of product pages")
    outbox_max: int = _setting(
        2_000_000,
        "at this many unpersisted events new locks are refused",
        unit="events",
        promise="4, 11",
        ge=1_000,
    )
    outbox_soft: int = _setting(
        500_000, "at this many unpersisted events there is an alarm", unit="events", promise="4, 11", ge=1
    )
    outbox_bytes_max: int = _setting(
        2_147_483_648,
        "at this size of the outbox, less a reserve for open locks, new locks are refused",
        unit="bytes",
        promise="4, 11",
        ge=1_000_000,
    )
    outbox_bytes_soft: int = _setting(
        536_870_912, "at this size of the outbox there is an alarm", unit="bytes", promise="4, 11", ge=1
    )
    disk_free_bytes_min: int = _setting(
        268_435_456,
        "with less free under a Redis of this machine new locks are refused; twice as much is an alarm",
        unit="bytes",
        promise="11",
        ge=0,
    )
    ring_entries_max: int = _setting(
        50_000,
        "how many acknowledged and not yet persisted commands an API process remembers, to name what is lost",
        unit="commands",
        promise="5, 6",
        ge=0,
    )
    trim_margin_seconds: float = _setting(
        10.0,
        "how long persisted events stay in the outbox, for a standby that lags",
        unit="s",
        promise="4",
        ge=0,
    )
    batch_events_max: int = _setting(
        5_000, "events in one transaction of the worker", unit="events", ge=1, le=50_000
    )
    sweep_interval_seconds: float = _setting(
        0.25, "how often the sweeper looks for overdue locks", unit="s", promise="2", gt=0, le=1
    )
    shortage_choice: Choice = _setting(
        "latest", "which locks a shortage suggests to break first: latest or largest", promise="2"
    )
    inbox_wait_seconds: float = _setting(
        300.0,
        "how long a warehouse event waits for its turn or its document before it is booked and flagged",
        unit="s",
        promise="8",
        gt=0,
    )
    inbox_units_max: int = _setting(
        100_000, "a warehouse event about more units waits for a person", unit="units", promise="8", ge=1
    )
    inbox_skew_seconds: int = _setting(
        SKEW_SECONDS_MAX, "how far a source's clock may be ahead of ours", unit="s", promise="8", ge=0
    )
    inbox_sources: str = _setting(
        "",
        "sources with other limits: source:units:seconds,… (units_max and skew_seconds of each); with :reporter=name "
        "it speaks for another, with :reports=totals a later event of a document's line replaces the earlier one",
        promise="8",
    )
    clock_jump_seconds_max: float = _setting(
        60.0, "a jump of the hot store's clock beyond this pauses expiry", unit="s", promise="10", gt=0
    )

    reconcile_policy: str = _setting(
        "parked=report,quarantined=report,in_transit=report,shipped_after_cut=report,count_before_move=report,"
        "count_after_move=report",
        "what is done about differences: cause=report, propose or apply, and maybe <=units, comma-separated; "
        "the first that fits; what fits none is proposed",
        promise="13",
    )
    reconcile_apply_units_max: int = _setting(
        1_000, "beyond so many units in all, a reconciliation applies nothing by itself", unit="units", ge=0
    )
    reconcile_differing_share_max: float = _setting(
        0.05, "at a larger share of SKUs that differ: an alarm, and nothing is applied by itself", ge=0, le=1
    )
    reconcile_window_seconds: int = _setting(
        3_600, "how far from a snapshot's time moves may explain a difference", unit="s", ge=0, le=604_800
    )
    reconcile_age_seconds_max: int = _setting(
        93_600, "a last snapshot older than this is an alarm", unit="s", promise="13", ge=60
    )
    reconcile_warehouses: str = _setting(
        "", "warehouses that must be reconciled, comma-separated; those that were once must be anyway"
    )

    partitions_ahead_months: int = _setting(
        2, "for how many months after this one the ledger has room", unit="months", promise="4", ge=1, le=24
    )
    ledger_months_kept: int = _setting(
        0,
        "how many whole months of events and moves stay in the ledger before they are archived; 0: for ever",
        unit="months",
        promise="13",
        ge=0,
    )
    closed_lock_days_kept: int = _setting(
        0, "how long ended locks stay among the others; 0: for ever", unit="days", ge=0, le=36_500
    )

    check_slice_seconds: float = _setting(
        5.0,
        "how long the worker rests between two slices of its check of hot store, projection and moves; 0: no check",
        unit="s",
        promise="13",
        ge=0,
        le=3_600,
    )

    @field_validator("reconcile_policy")
    @classmethod
    def _policy_is_readable(cls, value: str) -> str:
        read_policy(value)
        return value

    @field_validator("warehouse_order", "reconcile_warehouses")
    @classmethod
    def _warehouses_are_codes(cls, value: str) -> str:
        for warehouse in filter(None, value.split(",")):
            check_warehouse(warehouse)
        return value

    @field_validator("inbox_sources")
    @classmethod
    def _sources_have_limits(cls, value: str) -> str:
        for limits in read_sources(value, SourceLimits(1, 0)).values():
            if limits.reporter:
                check_code(limits.reporter, SOURCE_LENGTH_MAX)
        return value

    @property
    def rules(self) -> Rules:
        """Return what sources of warehouse events may say before a person looks at it."""
        common = SourceLimits(self.inbox_units_max, self.inbox_skew_seconds)
        return Rules(common, read_sources(self.inbox_sources, common))

    @property
    def reconciled(self) -> tuple[str, ...]:
        """Return the warehouses that must be reconciled."""
        return tuple(filter(None, self.reconcile_warehouses.split(",")))

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the names by which the service may be called without keys, beside those of loopback."""
        return tuple(filter(None, (name.strip() for name in self.allowed_hosts.split(","))))

    @property
    def order(self) -> tuple[str, ...]:
        """Return the warehouses in rank order."""
        return tuple(filter(None, self.warehouse_order.split(",")))


def refuse_unknown(environ: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigurationError` if a variable looks like a setting and is none: what it sets would not be set."""
    known = {f"{SETTINGS_PREFIX}{name}".upper() for name in Settings.model_fields} | OTHER_VARIABLES
    unknown = [
        f"{name} is not a setting, the nearest is {_nearest(name, known)}"
        for name, value in environ.items()
        if name.upper().startswith(SETTINGS_PREFIX) and name not in known and not _is_linked(name, value)
    ]
    if unknown:
        raise ConfigurationError("; ".join(sorted(unknown)))


def _nearest(name: str, known: set[str]) -> str:
    return get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.0)[0]


def _is_linked(name: str, value: str) -> bool:
    return bool(_LINKED_NAME.fullmatch(name) or (name.endswith("_PORT") and _LINKED_VALUE.fullmatch(value)))


def read_settings() -> Settings:
    """Build the settings from the environment; raise `ConfigurationError` naming the first that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = f"SELLABLE_{first['loc'][0]}".upper()
        raise ConfigurationError(f"{name} is not usable: {first['msg']}") from None
