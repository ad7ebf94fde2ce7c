"""Why the gate is shut, in a sentence for a person."""

from redis.exceptions import RedisError

from app.addresses.reasons import redis_sentence, sentence_of
from app.errors import UnavailableError
from app.hotstore.gate import Gate
from app.ledger.recovery_rows import RecoveryRows

_STATES = {
    "": "the hot store's memory is empty: it is rebuilt from the ledger before anything is sold",
    "ready": "the hot store was restarted or replaced: its memory is compared with the ledger first",
    "shut": "the hot store's memory is being compared with the ledger",
    "rebuilding": "the hot store is being rebuilt from the ledger",
    "carrying": "the ledger came back from an older copy: what the hot store holds is being booked",
}

NOT_LOADED = "the functions of this version are not loaded yet: run `sellable migrate`"
NOT_LET_IN = (
    "the functions of this version are loaded, but not let in yet: a worker does that within a second, or, where "
    "one of an earlier version runs, `sellable migrate`"
)


async def why_shut(gate: Gate, rows: RecoveryRows) -> list[str]:
    """Return what is going on, and what it waits for."""
    try:
        claims, is_loaded = await gate.claims(), await gate.is_loaded()
    except (RedisError, OSError) as error:
        return [redis_sentence(error)]
    reasons = [_STATES.get(claims.state, f"the hot store is in the state {claims.state!r}")]
    if claims.present and not gate.knows_layout(claims):
        reasons = ["the hot store's keys have another layout: it is rebuilt from the ledger first"]
    elif claims.state == "ready" and claims.home == claims.run_id:
        reasons = [NOT_LET_IN if is_loaded else NOT_LOADED]
    try:
        newest = await rows.newest_noted_epoch()
    except (UnavailableError, OSError) as error:
        return [*reasons, f"{sentence_of(error)}; only the ledger can tell what the memory should be"]
    if claims.epoch < newest and claims.state == "ready":
        reasons.append(f"epoch {newest} was opened elsewhere: this memory has epoch {claims.epoch}")
    return reasons
