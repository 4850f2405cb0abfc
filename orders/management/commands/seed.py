import time
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from orders import catalogue, seeding


class Command(BaseCommand):
    help = "Fills the shop: its products, and if asked for, users and a year of their orders."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--users", type=int, default=0, help="who buy, and cannot log in")
        parser.add_argument("--orders", type=int, default=0, help="a million takes less than a minute on PostgreSQL")
        parser.add_argument("--seed", type=int, default=1, help="another one makes other orders")
        parser.add_argument("--until", type=date.fromisoformat, help="the last day (default: some days ago)")

    def handle(self, *, users: int, orders: int, seed: int, until: date | None, **options: Any) -> None:
        began = time.monotonic()
        catalogue.fill()
        if orders and not users:
            users = max(1, orders // 20)
        owners = seeding.seed_users(users)
        try:
            if orders:
                seeding.seed_orders(orders, owners, seed, until or seeding.last_day())
        except IntegrityError as error:
            raise CommandError(f"These orders are there already. Choose another seed: --seed {seed + 1}") from error
        if options["verbosity"]:
            self.stdout.write(f"{len(owners):,} users and {orders:,} orders in {time.monotonic() - began:.1f} s")
