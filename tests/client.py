"""A person's program that uses the API of a running site."""

from pathlib import Path
from typing import Any

import httpx

from tests.stack import Stack
from tests.waiting import wait_until


class Client(httpx.Client):
    def __init__(self, stack: Stack, email: str = "demo@example.com") -> None:
        stack.manage("demo_users")
        token = stack.manage("create_token", email)
        super().__init__(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def upload(self, path: Path, **data: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.post("/api/videos", files={"file": file}, data=data)

    def job(self, location: str) -> dict[str, Any]:
        return self.get(location).raise_for_status().json()

    def finished(self, location: str, timeout: float = 60) -> dict[str, Any]:
        """The job, once it has finished."""
        return wait_until(lambda: (job := self.job(location))["finished_at"] and job, timeout=timeout, every=0.1)
