"""Every order of a period as a line of CSV, however many there are.

PostgreSQL writes the lines itself, by COPY; anything else would take several times as long. They come as it finds them,
about in the order in which the orders were placed: to sort a million rows, or to cut their moments to whole seconds,
costs as much as to write them. From other databases the orders come a few at a time.
"""

import csv
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from psycopg import sql

from orders.models import Order, Product
from orders.money import WHOLE, exact
from reports.exports.formulas import harmless, harmless_sql
from reports.kinds.sales import orders_of
from reports.period import Period

HEADER = (
    "order",
    "ordered_at_utc",
    "product",
    "quantity",
    "amount",
    "currency",
    "country",
    "buyer",
    "paid_at_utc",
    "declined_at_utc",
    "refunded_at_utc",
)
BATCH = 2_000
BUFFER = 1024 * 1024
EVERY = 10_000  # rows between two words on how far it is

# Products and buyers are made harmless before they are joined: there are fewer of them than orders. Each order has
# both, but for what JOIN takes in PostgreSQL would do it anew for each order. For what LEFT JOIN takes in it does not.
# Countries are two letters, and such need not be looked at closer.
QUERY = """
COPY (
    SELECT o.id, {placed}, p.name, o.quantity,
        CASE WHEN o.currency = ANY({whole}) THEN o.amount::numeric ELSE o.amount * 0.01 END,
        o.currency, CASE WHEN o.country BETWEEN 'A' AND 'ZZ' THEN o.country ELSE {country} END,
        b.email, {paid}, {declined}, {refunded}
    FROM {orders} o
    LEFT JOIN (SELECT id, {product} AS name FROM {products}) p ON p.id = o.product_id
    LEFT JOIN (SELECT id, {buyer} AS email FROM {buyers}) b ON b.id = o.owner_id
    WHERE o.created_at >= {since} AND o.created_at < {until} AND ({owner}::bigint IS NULL OR o.owner_id = {owner})
) TO STDOUT WITH (FORMAT csv)
"""


def write(period: Period, owner: Any, path: Path, on_progress: Callable[[float, str], object]) -> None:
    number = orders_of(period, owner).count()
    copy = copied if connection.vendor == "postgresql" else fetched
    with path.open("wb", BUFFER) as file:
        file.write((",".join(HEADER) + "\r\n").encode())
        for done, line in enumerate(copy(period, owner)):
            file.write(line)
            if done % EVERY == 0:
                on_progress(done / max(1, number), f"{done:,} of {number:,} orders")


def copied(period: Period, owner: Any) -> Iterator[Any]:
    since, until = period.moments
    placed, paid, declined, refunded = (
        sql.SQL("o.{} AT TIME ZONE 'UTC'").format(sql.Identifier(name))
        for name in ("created_at", "paid_at", "declined_at", "refunded_at")
    )
    query = sql.SQL(QUERY).format(
        placed=placed,
        paid=paid,
        declined=declined,
        refunded=refunded,
        country=harmless_sql(sql.SQL("nullif(o.country, '')")),
        product=harmless_sql(sql.SQL("name")),
        buyer=harmless_sql(sql.SQL("email")),
        whole=sql.Literal(sorted(WHOLE)),
        orders=sql.Identifier(Order._meta.db_table),
        products=sql.Identifier(Product._meta.db_table),
        buyers=sql.Identifier(get_user_model()._meta.db_table),
        since=sql.Literal(since),
        until=sql.Literal(until),
        owner=sql.Literal(owner and owner.pk),
    )
    with connection.wrap_database_errors, connection.cursor() as cursor:
        # Joining and converting is for several processes. As so many rows come back, PostgreSQL would leave it to one.
        cursor.execute("SET LOCAL parallel_tuple_cost = 0")
        with cursor.copy(query) as copy:
            yield from copy


def fetched(period: Period, owner: Any) -> Iterator[bytes]:
    columns = ("pk", "created_at", "product__name", "quantity", "amount", "currency", "country", "owner__email")
    facts = ("paid_at", "declined_at", "refunded_at")
    orders = orders_of(period, owner).order_by("created_at").values_list(*columns, *facts)
    lines: list[str] = []
    writer = csv.writer(Lines(lines.append), lineterminator="\n")
    for pk, placed, product, quantity, amount, currency, country, buyer, *moments in orders.iterator(BATCH):
        texts = map(harmless, (country, buyer))
        row = (pk, moment_of(placed), harmless(product), quantity, exact(amount, currency), currency, *texts)
        writer.writerow((*row, *map(moment_of, moments)))
        yield lines.pop().encode()


class Lines:
    """A file for `csv.writer`, which gives what is written to a function."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write = write


def moment_of(moment: datetime | None) -> str:
    """As PostgreSQL writes it: no zeros at the end of a fraction, and no fraction where there is none."""
    if moment is None:
        return ""
    whole, _, fraction = f"{moment:%Y-%m-%d %H:%M:%S.%f}".partition(".")
    return f"{whole}.{fraction.rstrip('0')}" if moment.microsecond else whole
