"""The hot store's keys, all built here (the functions build the same from the tag of `meta`)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one shard. `prefix` sets two installations on one server apart; the hash tag has both."""

    prefix: str = ""
    shard: int = 0

    @property
    def tag(self) -> str:
        """Return what every key begins with, such as `{s0}:`."""
        return f"{{{self.prefix}s{self.shard}}}:"

    @property
    def meta(self) -> str:
        """Return the key of epoch, state, tip and clock."""
        return f"{self.tag}meta"

    @property
    def outbox(self) -> str:
        """Return the key of the stream of events that are not persisted for sure yet."""
        return f"{self.tag}outbox"

    @property
    def due(self) -> str:
        """Return the key of held lock ids by expiry."""
        return f"{self.tag}due"

    def stock(self, sku: str) -> str:
        """Return the key of a SKU's counts."""
        return f"{self.tag}stock:{sku}"

    def lock(self, lock_id: str) -> str:
        """Return the key of a lock's record."""
        return f"{self.tag}lock:{lock_id}"

    def transfer(self, transfer_id: str) -> str:
        """Return the key of a transfer's record."""
        return f"{self.tag}transfer:{transfer_id}"

    def counted(self, sku: str) -> str:
        """Return the key of when a SKU was counted, by warehouse."""
        return f"{self.tag}counted:{sku}"

    def sequences(self, source: str) -> str:
        """Return the key of how far a source's numbered events are, by warehouse."""
        return f"{self.tag}sequences:{source}"

    def document(self, family: str) -> str:
        """Return the key of what reporters said of a family of documents, by SKU."""
        return f"{self.tag}document:{family}"

    def op(self, op: str) -> str:
        """Return the key of what an id was used for."""
        return f"{self.tag}op:{op}"
