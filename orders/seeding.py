"""Orders as a shop has them after a year: for reports and benchmarks, the same ones for the same seed and last day.

They have no jobs, and the gateway knows nothing of their charges. So they end before the days that the nightly
comparison looks at.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction

from orders import catalogue
from orders.models import Order, Product

DAYS = 365
BATCH = 5_000
SEEDED = "@seed.example"  # the end of a seeded user's mail address

# How Monday to Sunday compare, the hours of a day, countries, and numbers of pieces.
WEEK = (0.9, 0.9, 0.95, 1.0, 1.2, 1.5, 1.3)
HOURS = (3, 2, 1, 1, 1, 2, 4, 6, 8, 9, 10, 10, 11, 10, 9, 9, 10, 12, 14, 16, 17, 15, 10, 6)
COUNTRIES = {"DE": 30, "FR": 18, "NL": 11, "IT": 9, "ES": 8, "AT": 6, "BE": 5, "PL": 5, "SE": 4, "PT": 2, "IE": 2}
PIECES = {1: 70, 2: 18, 3: 7, 4: 3, 5: 2}
GROWTH = 0.6  # by how much the last day outsells the first
DECLINED, REFUNDED = 0.03, 0.02
REASONS = ("Your card was declined.", "Your card has insufficient funds.", "Your card has expired.")


class Row(NamedTuple):
    """Of the table of orders: the names are its columns. Times and ids are text that both databases take as it is."""

    id: str
    owner_id: int
    product_id: int
    quantity: int
    amount: int
    currency: str
    country: str
    payment_method: str
    created_at: str
    asked_at: str
    charge_id: str | None
    paid_at: str | None
    declined_at: str | None
    decline_reason: str
    refunded_at: str | None


def last_day() -> date:
    return (datetime.now(UTC) - settings.RECONCILED).date() - timedelta(days=2)


def seed_users(number: int) -> list[int]:
    """Have so many users who cannot log in, and return their ids."""
    users = get_user_model()._default_manager
    nobodys = make_password(None)
    people = (users.model(email=f"buyer{one}{SEEDED}", password=nobodys) for one in range(1, number + 1))
    while batch := list(islice(people, BATCH)):
        users.bulk_create(batch, ignore_conflicts=True)
    return list(users.filter(email__endswith=SEEDED).order_by("pk").values_list("pk", flat=True)[:number])


def seed_orders(number: int, owners: list[int], seed: int, last: date) -> None:
    """Write so many orders of a year, the oldest first."""
    with transaction.atomic():
        write(made_up(random.Random(seed), number, owners, catalogue.fill(), last))


def made_up(dice: random.Random, number: int, owners: list[int], products: list[Product], last: date) -> Iterator[Row]:
    wishes = [1 / (rank + 2) for rank in range(len(products))]  # the cheaper, the more often
    for moments in days(dice, number, last):
        number = len(moments)
        bought = dice.choices(products, wishes, k=number)
        pieces = dice.choices(list(PIECES), list(PIECES.values()), k=number)
        countries = dice.choices(list(COUNTRIES), list(COUNTRIES.values()), k=number)
        for at, product, quantity, country in zip(moments, bought, pieces, countries, strict=True):
            owner = owners[int(len(owners) * dice.random() ** 2)]  # some buy a lot
            yield row(dice, at, owner, product, quantity, country)


def days(dice: random.Random, number: int, last: date) -> Iterator[list[datetime]]:
    """The moments of each day's orders, in UTC: there are more from week to week, and at the end of one."""
    every = [last - timedelta(days=ago) for ago in reversed(range(DAYS))]
    shares = [
        WEEK[day.weekday()] * (1 + GROWTH * place / DAYS) * dice.uniform(0.9, 1.1) for place, day in enumerate(every)
    ]
    due = done = 0.0
    for day, share in zip(every, shares, strict=True):
        due += number * share / sum(shares)
        midnight = datetime.combine(day, time())
        hours = dice.choices(range(24), HOURS, k=round(due) - round(done))
        yield sorted(midnight + timedelta(seconds=3600 * hour + int(3600 * dice.random())) for hour in hours)
        done = due


def row(dice: random.Random, at: datetime, owner: int, product: Product, quantity: int, country: str) -> Row:
    pk = f"{dice.getrandbits(128):032x}"
    placed, answered = written(at), written(at + timedelta(seconds=2))
    fate = dice.random()
    declined = fate < DECLINED
    refunded = DECLINED <= fate < DECLINED + REFUNDED
    return Row(
        id=pk,
        owner_id=owner,
        product_id=product.pk,
        quantity=quantity,
        amount=product.price * quantity,
        currency=product.currency,
        country=country,
        payment_method="pm_card_visa",
        created_at=placed,
        asked_at=placed,
        charge_id=None if declined else f"ch_seed_{pk}",
        paid_at=None if declined else answered,
        declined_at=answered if declined else None,
        decline_reason=dice.choice(REASONS) if declined else "",
        refunded_at=written(at + timedelta(days=1)) if refunded else None,
    )


def write(rows: Iterator[Row]) -> None:
    """PostgreSQL takes them by COPY, in lines as its manual describes them; SQLite by INSERTs of many rows."""
    with connection.wrap_database_errors, connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(COPY) as copy:
                while batch := list(islice(rows, BATCH)):
                    copy.write("".join(map(line, batch)))
        else:
            while batch := list(islice(rows, BATCH)):
                cursor.executemany(INSERT, batch)


def line(row: Row) -> str:
    return "\t".join(["\\N" if value is None else str(value) for value in row]) + "\n"


def written(at: datetime) -> str:
    return at.isoformat(" ")


TABLE, COLUMNS = Order._meta.db_table, ", ".join(Row._fields)
COPY = f"COPY {TABLE} ({COLUMNS}) FROM STDIN"
INSERT = f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({', '.join(['%s'] * len(Row._fields))})"  # noqa: S608
