"""The sandbox gateway of a running site, as tests see it: they tell it to fail, and read its books."""

from typing import Any

import httpx


class Gateway(httpx.Client):
    def __init__(self, port: int | str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        super().__init__(base_url=self.url, timeout=30, trust_env=False)

    def answers(self) -> bool:
        try:
            return self.get("/sandbox/ledger").is_success
        except httpx.TransportError:
            return False

    def faults(self, *upcoming: str | None, **more: Any) -> None:
        """Plan what goes wrong: with the next requests, and by `chances`, `seed` and `seconds`."""
        self.post("/sandbox/faults", json={"next": upcoming, **more}).raise_for_status()

    def ledger(self) -> dict[str, Any]:
        """How often each order was charged, declined and refunded, and how often each fault was met."""
        return self.get("/sandbox/ledger").json()

    def charged(self, order: object) -> int:
        return self.ledger()["charged"].get(str(order), 0)
