"""The connections to both stores that every process has, and which servers are refused."""

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import structlog
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from app.domain.ranking import Ranking
from app.errors import ConfigurationError, UnavailableError
from app.hotstore import wire
from app.hotstore.gate import Gate
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.replicas import Replicas
from app.hotstore.rights import inner_commands, lacking
from app.hotstore.store import HotStore
from app.hotstore.words import WorkerWords
from app.ledger.database import open_engine
from app.ledger.migrate import check_schema, migrate
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.warehouses import WarehouseRows
from app.ledger.watch import LedgerWatch
from app.operations.warehouses import Warehouses
from app.recovery.belonging import check_installation, refuse_foreign_keys
from app.recovery.checks import HotLevel, HotServer, check_hot_server
from app.settings import Settings

_log = structlog.get_logger()

SHARD = 0


@dataclass(frozen=True, slots=True)
class Connections:
    """Both stores of one shard: how each process reaches them."""

    settings: Settings
    redis_url: str
    database_url: str
    client: Redis
    engine: AsyncEngine
    keys: Keys
    hot: HotStore
    gate: Gate
    level: HotLevel
    watch: LedgerWatch
    replicas: Replicas
    words: WorkerWords
    ranking: Ranking
    warehouses: Warehouses

    @classmethod
    def connect(cls, settings: Settings, redis_url: str, database_url: str) -> Self:
        """Put them together; nothing is connected before it is used. `ConfigurationError` on a bad URL."""
        client, engine = wire.connect(redis_url), open_engine(database_url)
        keys, code = Keys(settings.prefix), library()
        ranking = Ranking(settings.order)
        warehouses = Warehouses(
            WarehouseRows(engine), takes_any=settings.new_warehouses == "any", on_read=ranking.follow
        )
        caller = wire.FunctionCaller(client, deadline_seconds=settings.call_deadline_seconds)
        level = HotLevel(client, keys, replicas=settings.replicas)
        replicas = Replicas(
            wire.connect(redis_url, connections_max=1),
            keys,
            code,
            needed=lambda: level.replicas_needed,
            wait_seconds=settings.durability_wait_seconds,
        )
        return cls(
            settings,
            redis_url,
            database_url,
            client,
            engine,
            keys,
            HotStore(caller, keys, code, ranking=ranking),
            Gate(client, keys, code),
            level,
            LedgerWatch(engine, SHARD),
            replicas,
            WorkerWords(client, keys),
            ranking,
            warehouses,
        )

    async def check(self) -> HotServer:
        """Refuse servers that would break a promise, or do not belong together; read the level the hot store gives."""
        server = await self._check_hot_server()
        with contextlib.suppress(UnavailableError):  # locks go on without Postgres, and so does a start
            await check_schema(self.engine)
        await check_installation(self.client, self.keys, RecoveryRows(self.engine, SHARD))
        return server

    async def _check_hot_server(self) -> HotServer:
        server = await check_hot_server(self.client, self.keys)
        if not self.settings.redis_shared:
            await refuse_foreign_keys(self.client, self.keys)
        await self.level.refresh()
        return server

    async def check_rights(self, needed: Collection[str]) -> None:
        """Refuse a Redis user whose functions would fail half-way, and log what else it lacks.

        While the functions are not loaded nobody can tell; but nothing can be called then either.
        """
        lacks = (await lacking(self.client, self.keys) or frozenset()).intersection(needed)
        if half := sorted(lacks.intersection(inner_commands())):
            raise ConfigurationError(
                f"the Redis user may not run {', '.join(half)}, which the functions need: see deploy/users.acl"
            )
        if lacks:
            _log.error("hot_store.user_lacks", rights=sorted(lacks), see="deploy/users.acl")

    async def migrate(self) -> str:
        """Bring the ledger's tables and the functions up to date; return the revision.

        Where another version's functions are in use, ours may be used beside them from now on.
        """
        await self._check_hot_server()
        revision = await migrate(self.engine)
        await self.gate.load_library()
        await self.gate.adopt()
        return revision
