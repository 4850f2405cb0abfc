"""CSV as RFC 4180 has it, in UTF-8: one table, for programs and spreadsheets alike."""

import csv
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from reports.exports.formulas import harmless
from reports.figures import Cell, Figures, Money


def write(figures: Figures, path: Path, title: str, about: list[str]) -> None:
    """All tables in one: `by` says of which, `of` what the row is of, and the other columns are named as there."""
    names = list(dict.fromkeys(column.name for table in figures.tables for column in table.columns[1:]))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, ["by", "of", *names], restval="")
        rows.writeheader()
        for table in figures.tables:
            for of, *cells in table.rows:
                named = zip((column.name for column in table.columns[1:]), map(written, cells), strict=True)
                rows.writerow({"by": table.by, "of": written(of), **dict(named)})


def written(cell: Cell) -> Any:
    """As a program reads it: no separators, days as ISO 8601, spans in seconds."""
    if isinstance(cell, Money):
        return cell.exact
    if isinstance(cell, timedelta):
        return round(cell.total_seconds(), 3)
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float):
        return round(cell, 6)
    return harmless(cell) if isinstance(cell, str) else cell
