"""What the sandbox keeps, in an SQLite file: it survives being killed, as a gateway does."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

Object = dict[str, Any]  # as the API shows it

SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS objects (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, kind TEXT, created INTEGER, body TEXT
);
CREATE INDEX IF NOT EXISTS newest ON objects (kind, number);
CREATE INDEX IF NOT EXISTS by_order ON objects (kind, json_extract(body, '$.metadata.order'));
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, path TEXT, parameters TEXT, created REAL, status INTEGER, body TEXT
);
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, body TEXT, times INTEGER, tries INTEGER DEFAULT 0, due REAL
);
"""


class Answer(NamedTuple):
    status: int
    body: Object


class Key(NamedTuple):
    """An idempotency key that was used before. Without an answer its request is still being executed."""

    path: str
    parameters: dict[str, str]
    answer: Answer | None


class Event(NamedTuple):
    id: str
    body: str
    tries: int


class Ledger:
    def __init__(self, path: Path, keys_kept: float) -> None:
        self.keys_kept = keys_kept
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(SCHEMA)
        # Claimed by a process that was killed before anything came of it: charge and answer are written together.
        self._db.execute("DELETE FROM keys WHERE status IS NULL")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- idempotency keys ---

    def claim(self, key: str, path: str, parameters: dict[str, str]) -> Key | None:
        """Take a key for a request that is about to be executed, or return how it was used before."""
        self._db.execute("DELETE FROM keys WHERE created < ?", [time.time() - self.keys_kept])
        claimed = self._db.execute(
            "INSERT INTO keys (key, path, parameters, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [key, path, json.dumps(parameters), time.time()],
        )
        if claimed.rowcount:
            return None
        found = "SELECT path, parameters, status, body FROM keys WHERE key = ?"
        path, written, status, body = self._db.execute(found, [key]).fetchone()
        return Key(path, json.loads(written), Answer(status, json.loads(body)) if status else None)

    def keep(self, key: str, answer: Answer) -> None:
        self._db.execute("UPDATE keys SET status = ?, body = ? WHERE key = ?", [*dumped(answer), key])

    def release(self, key: str) -> None:
        self._db.execute("DELETE FROM keys WHERE key = ?", [key])

    def orders_of_errors(self) -> list[str]:
        """The orders for which an error is kept as the answer."""
        sought = """SELECT json_extract(parameters, '$."metadata[order]"') FROM keys WHERE status >= 500"""
        return [order for (order,) in self._db.execute(sought)]

    # --- objects ---

    def add(self, kind: str, prefix: str, **fields: Any) -> Object:
        created = int(time.time())
        made = {"id": new_id(prefix), "object": kind, "created": created, "livemode": False, **fields}
        row = [made["id"], kind, created, json.dumps(made)]
        self._db.execute("INSERT INTO objects (id, kind, created, body) VALUES (?, ?, ?, ?)", row)
        return made

    def save(self, changed: Object) -> None:
        self._db.execute("UPDATE objects SET body = ? WHERE id = ?", [json.dumps(changed), changed["id"]])

    def find(self, kind: str, pk: str) -> Object | None:
        row = self._db.execute("SELECT body FROM objects WHERE kind = ? AND id = ?", [kind, pk]).fetchone()
        return json.loads(row[0]) if row else None

    def newest(self, kind: str, since: int, until: int, after: str | None, limit: int) -> list[Object]:
        """The latest first, of those created within these moments, and of these only what follows `after`."""
        rows = self._db.execute(
            "SELECT body FROM objects WHERE kind = ? AND created BETWEEN ? AND ?"
            " AND (? IS NULL OR number < (SELECT number FROM objects WHERE id = ?))"
            " ORDER BY number DESC LIMIT ?",
            [kind, since, until, after, after, limit],
        )
        return [json.loads(body) for (body,) in rows]

    def of_order(self, kind: str, order: str) -> list[Object]:
        sought = "SELECT body FROM objects WHERE kind = ? AND json_extract(body, '$.metadata.order') = ?"
        return [json.loads(body) for (body,) in self._db.execute(sought, [kind, order])]

    # --- events ---

    def announce(self, kind: str, about: Object, times: int) -> None:
        event = {
            "id": new_id("evt"),
            "object": "event",
            "type": kind,
            "created": int(time.time()),
            "livemode": False,
            "data": {"object": about},
        }
        row = [event["id"], json.dumps(event), times, time.time()]
        self._db.execute("INSERT INTO events (id, body, times, due) VALUES (?, ?, ?, ?)", row)

    def due_events(self) -> list[Event]:
        found = "SELECT id, body, tries FROM events WHERE times > 0 AND due <= ? ORDER BY due LIMIT 20"
        return [Event(*row) for row in self._db.execute(found, [time.time()])]

    def was_heard(self, event: Event) -> None:
        self._db.execute("UPDATE events SET times = times - 1 WHERE id = ?", [event.id])

    def was_missed(self, event: Event, pause: float) -> None:
        changed = "UPDATE events SET tries = tries + 1, due = ? WHERE id = ?"
        self._db.execute(changed, [time.time() + pause, event.id])


def dumped(answer: Answer) -> tuple[int, str]:
    return answer.status, json.dumps(answer.body)


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
