"""The users, and the traffic that each copies."""

import random
from urllib.parse import quote

from locust import between, constant_pacing, task

from loadtests.shop import CATALOGUE, JUDGE, PAID, Visitor

LISTED_SKUS = 24
TAGS_MAX = 200


class Browse(Visitor):
    """Copies the readers of a shop: product pages by Zipf's law, listing pages of 24, some with a warm cache.

    A third of the product pages come with the ETag of the last visit, as from a CDN that revalidates.
    """

    weight = 6
    wait_time = between(0.02, 0.2)

    def on_start(self) -> None:
        """Begin with an empty cache."""
        super().on_start()
        self._tags: dict[str, str] = {}

    @task(9)
    def product_page(self) -> None:
        """One SKU."""
        (sku,) = CATALOGUE.wanted(1)
        tag = self._tags.get(sku) if random.random() < 1 / 3 else None
        headers = {"If-None-Match": tag} if tag else {}
        expected = (200, 304) if tag else (200,)
        path = f"/v1/availability/{quote(sku, safe='')}"
        response = self.ask("GET", path, *expected, name="/v1/availability/[sku]", headers=headers)
        if response.status_code == 200 and len(self._tags) < TAGS_MAX:
            self._tags[sku] = response.headers.get("ETag", "")

    @task(1)
    def listing_page(self) -> None:
        """Many SKUs at once."""
        query = "&".join(f"sku={quote(sku, safe='')}" for sku in CATALOGUE.wanted(LISTED_SKUS))
        self.ask("GET", f"/v1/availability?{query}", 200, name="/v1/availability?sku=…")


class Checkout(Visitor):
    """Copies customers who buy: a lock of 1 to 4 lines, then a payment or a change of mind; shipped later.

    Of ten who reach the till, nearly nine pay. What was paid leaves the warehouse in the order it came.
    """

    weight = 3
    wait_time = between(0.1, 0.5)

    @task(3)
    def order(self) -> None:
        """Lock, then pay or leave."""
        lines = {sku: random.choice((1, 1, 1, 2)) for sku in CATALOGUE.wanted(random.randint(1, 4))}
        lock_id = self.lock(lines, name="/v1/locks")
        if lock_id is None:
            return
        if random.random() < 0.87:
            paid = self.ask("POST", f"/v1/locks/{lock_id}/confirm", 200, name="/v1/locks/[id]/confirm")
            if paid.status_code == 200:
                PAID.append(lock_id)
        else:
            JUDGE.give_back(lines)
            self.ask("POST", f"/v1/locks/{lock_id}/unlock", 200, name="/v1/locks/[id]/unlock")

    @task(2)
    def ship(self) -> None:
        """What was paid first is shipped first."""
        if not PAID:
            return
        lock_id = PAID.popleft()
        path = f"/v1/locks/{lock_id}/deduct"
        self.ask("POST", path, 200, name="/v1/locks/[id]/deduct", json={"shipment_id": f"{lock_id}-1"})


class FlashSale(Visitor):
    """Copies the minute after an advert: everybody wants one SKU, most look first, then it is sold out.

    A 409 is a success, provided that it names the shortage; so the rush goes on after the last unit.
    """

    weight = 4
    wait_time = constant_pacing(0.4)

    @task
    def rush(self) -> None:
        """Look, then try."""
        sku = CATALOGUE.flash_sku
        if random.random() < 0.6:
            self.ask("GET", f"/v1/availability/{quote(sku, safe='')}", 200, name="/v1/availability/[flash]")
        quantity = random.choice((1, 1, 2))
        lock_id = self.lock({sku: quantity}, name="/v1/locks (flash)")
        if lock_id is not None:
            self.ask("POST", f"/v1/locks/{lock_id}/confirm", 200, name="/v1/locks/[id]/confirm")
