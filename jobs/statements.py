"""What Django's ORM cannot say, or not fast enough: UPDATE … RETURNING, and COPY.

Every job runs two updates, to start and to succeed. The ORM takes longer to compile those than PostgreSQL takes to run
them, and a short job is little else: so they are compiled once, with parameters for what differs.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from django.db import connections, models
from django.db.models.expressions import Expression
from django.db.models.sql import UpdateQuery


class Update(NamedTuple):
    """Rows, and what is to be changed in them."""

    rows: models.QuerySet[Any]
    changes: dict[str, Any]


def run(update: Update) -> list[Any]:
    """Run an update, and return the rows that it changed as they now are."""
    return _fetch(update.rows, *_compile(update))


class Parameter(Expression):
    """Stands in an update for a value that is given when it is run."""

    def __init__(self, name: str, field: "models.Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self]


class Prepared:
    """An update with parameters, compiled when a kind of database first runs it.

    returning: the fields that its rows come back with; by default all. The others are deferred.
    """

    def __init__(self, build: Callable[[], Update], returning: tuple[str, ...] = ()) -> None:
        self._build = build
        self._returning = returning
        self._compiled: dict[str, tuple[models.QuerySet[Any], str, tuple[Any, ...]]] = {}

    def run(self, **values: Any) -> list[Any]:
        connection = connections["default"]
        if connection.vendor not in self._compiled:
            update = self._build()
            self._compiled[connection.vendor] = (update.rows, *_compile(update, self._returning))
        rows, sql, parameters = self._compiled[connection.vendor]
        given = [
            one.output_field.get_db_prep_save(values[one.name], connection) if isinstance(one, Parameter) else one
            for one in parameters
        ]
        return _fetch(rows, sql, given, self._returning)


def insert(rows: "Sequence[models.Model]", columns: list[str]) -> None:
    """Insert new rows, which may not conflict with others. `columns` are those that differ from the defaults.

    PostgreSQL takes them by COPY, several times as fast as `bulk_create()`.
    """
    model = type(rows[0])
    connection = connections["default"]
    if connection.vendor != "postgresql":
        model._default_manager.bulk_create(rows, batch_size=1000)
        return
    fields: list[Any] = [model._meta.get_field(column) for column in columns]
    names = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    with connection.cursor() as cursor, cursor.copy(f"COPY {model._meta.db_table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields])


def _compile(update: Update, returning: tuple[str, ...] = ()) -> tuple[str, tuple[Any, ...]]:
    query: Any = update.rows.query.chain(UpdateQuery)
    query.add_update_values(update.changes)
    sql, parameters = query.get_compiler(update.rows.db).as_sql()
    quote = connections[update.rows.db].ops.quote_name
    columns = ", ".join(quote(field.column) for field in _fields(update.rows.model, returning))
    return f"{sql} RETURNING {columns}", parameters


def _fetch(rows: models.QuerySet[Any], sql: str, parameters: Any, returning: tuple[str, ...] = ()) -> list[Any]:
    connection = connections[rows.db]
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = cursor.fetchall()
    names, converters = _columns(rows.model, returning, connection.vendor)  # type: ignore[arg-type]
    converted = rows.query.get_compiler(rows.db).apply_converters(found, converters) if converters else found
    return [rows.model.from_db(rows.db, names, row) for row in converted]


@cache
def _columns(model: Any, returning: tuple[str, ...], vendor: str) -> tuple[list[str], Any]:
    """The names of the fields, and what this kind of database needs to turn columns into their values."""
    fields = _fields(model, returning)
    compiler = model._base_manager.all().query.get_compiler(connection=connections["default"])
    converters = compiler.get_converters([field.get_col(model._meta.db_table) for field in fields])
    return [field.attname for field in fields], converters


def _fields(model: Any, returning: tuple[str, ...]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if not returning or field.name in returning]
