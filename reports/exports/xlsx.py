"""Spreadsheets for Excel and its like. Row by row: however much there is, little of it is in memory."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import xlsxwriter

from reports.figures import Column, Fact, Figures, Kind, Money, Table

NIGHT, LAMP, INK, DIM, LINE = "#0d1330", "#cb7206", "#171e38", "#58617d", "#d9deea"

# How spreadsheets are to show what is in a column, and how wide.
NUMBER_FORMATS = {
    Kind.DAY: "yyyy-mm-dd",
    Kind.MONTH: "mmm yyyy",
    Kind.NUMBER: "#,##0",
    Kind.MONEY: "#,##0.00",
    Kind.SPAN: '#,##0.000 "s"',
    Kind.MINUTES: "#,##0.0",
    Kind.BYTES: '[>=1000000000]#,##0.0,,, "GB";[>=1000000]#,##0.0,, "MB";#,##0.0, "KB"',
    Kind.CHANGE: "+0.0%;[Red]-0.0%;0.0%",
}
WIDTHS = {Kind.TEXT: 24, Kind.MONEY: 15, Kind.SPAN: 17}
WIDTH = 13


def write(figures: Figures, path: Path, title: str, about: list[str]) -> None:
    """A sheet with the facts, and one for each table with its chart. No text becomes a formula or a link."""
    options = {
        "constant_memory": True,
        "tmpdir": str(path.parent),
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"title": f"{title}, {about[0]}", "author": "Nightshift"})
        Book(book).write(figures, title, about)


class Book:
    def __init__(self, book: Any) -> None:
        self.book = book
        self.plain = self.format()
        self.title = self.format(bold=True, font_size=20, font_color=NIGHT)
        self.dim = self.format(font_color=DIM)
        self.head = self.format(bold=True, font_color="#ffffff", bg_color=NIGHT, valign="vcenter", text_wrap=True)
        self.head_right = self.format(
            bold=True, font_color="#ffffff", bg_color=NIGHT, valign="vcenter", text_wrap=True, align="right"
        )
        self.of_kind = {kind: self.format(num_format=shown, align="right") for kind, shown in NUMBER_FORMATS.items()}
        self.of_kind |= {Kind.TEXT: self.plain, Kind.DAY: self.left(Kind.DAY), Kind.MONTH: self.left(Kind.MONTH)}
        self.whole = self.format(num_format="#,##0", align="right")

    def format(self, **properties: Any) -> Any:
        return self.book.add_format({"font_name": "Calibri", "font_size": 11, "font_color": INK, **properties})

    def left(self, kind: Kind) -> Any:
        return self.format(num_format=NUMBER_FORMATS[kind], align="left")

    def write(self, figures: Figures, title: str, about: list[str]) -> None:
        summary = self.book.add_worksheet("Summary")
        self.write_summary(summary, figures, title, about)
        for table in figures.tables:
            sheet = self.book.add_worksheet(f"By {table.by}")
            self.write_table(sheet, table)
        if drawn := next((table for table in figures.tables if table.chart and table.rows), None):
            summary.insert_chart(f"A{9 + len(figures.facts) + len(figures.notes)}", self.chart(drawn, wide=True))

    def write_summary(self, sheet: Any, figures: Figures, title: str, about: list[str]) -> None:
        sheet.hide_gridlines(2)
        sheet.set_column("A:A", 26)
        sheet.set_column("B:C", 18)
        sheet.set_row(0, 30)
        sheet.write_string(0, 0, title, self.title)
        for number, line in enumerate(about, 1):
            sheet.write_string(number, 0, line, self.dim)
        top = len(about) + 2
        for column, name in enumerate(("Figure", "This period", "Change")):
            sheet.write_string(top, column, name, self.head_right if column else self.head)
        for row, fact in enumerate(figures.facts, top + 1):
            self.write_fact(sheet, row, fact)
        for row, note in enumerate(figures.notes, top + len(figures.facts) + 2):
            sheet.write_string(row, 0, note, self.dim)

    def write_fact(self, sheet: Any, row: int, fact: Fact) -> None:
        name = f"{fact.name}, {fact.value.currency.upper()}" if isinstance(fact.value, Money) else fact.name
        sheet.write_string(row, 0, name, self.plain)
        self.write_cell(sheet, row, 1, fact.kind, fact.value)
        self.write_cell(sheet, row, 2, Kind.CHANGE, fact.change)

    def write_table(self, sheet: Any, table: Table) -> None:
        sheet.freeze_panes(1, 1)
        sheet.set_row(0, 32)
        for number, column in enumerate(table.columns):
            sheet.set_column(number, number, WIDTHS.get(column.kind, WIDTH))
            sheet.write_string(0, number, column.name, self.head if is_left(column) else self.head_right)
        for row, cells in enumerate(table.rows, 1):
            for number, (column, cell) in enumerate(zip(table.columns, cells, strict=True)):
                self.write_cell(sheet, row, number, column.kind, cell)
        if table.rows:
            sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)
        if table.chart and table.rows:
            sheet.insert_chart(1, len(table.columns) + 1, self.chart(table))

    def write_cell(self, sheet: Any, row: int, column: int, kind: Kind, cell: Any) -> None:
        shown = self.of_kind[kind]
        if cell is None:
            sheet.write_blank(row, column, None, shown)
        elif isinstance(cell, Money):
            sheet.write_number(row, column, cell.exact, shown if cell.exact.as_tuple().exponent else self.whole)
        elif isinstance(cell, timedelta):
            sheet.write_number(row, column, cell.total_seconds(), shown)
        elif isinstance(cell, date):
            sheet.write_datetime(row, column, datetime(cell.year, cell.month, cell.day), shown)  # noqa: DTZ001
        elif isinstance(cell, str):
            sheet.write_string(row, column, cell, shown)
        else:
            sheet.write_number(row, column, cell, shown)

    def chart(self, table: Table, wide: bool = False) -> Any:
        assert table.chart
        name, last = f"By {table.by}", table.chart.rows
        chart = self.book.add_chart({"type": "line" if table.chart.line else "bar"})
        chart.add_series(
            {
                "name": table.columns[table.chart.column].name,
                "categories": [name, 1, 0, last, 0],
                "values": [name, 1, table.chart.column, last, table.chart.column],
                "line": {"color": LAMP, "width": 2},
                **({} if table.chart.line else {"fill": {"color": LAMP}, "gap": 60}),
            }
        )
        quiet = {"num_font": {"color": DIM}, "line": {"color": LINE}, "major_gridlines": {"visible": False}}
        marked = {**quiet, "major_gridlines": {"visible": True, "line": {"color": LINE}}, "num_format": "#,##0"}
        if table.chart.line:
            chart.set_x_axis({**quiet, "date_axis": True, "num_format": "d mmm"})
            chart.set_y_axis({**marked, "min": 0})
        else:
            chart.set_x_axis(marked)
            chart.set_y_axis({**quiet, "reverse": True, "num_format": "mmm yyyy"})
        chart.set_title({"name": table.chart.title, "name_font": {"size": 13, "color": INK}, "overlay": False})
        chart.set_legend({"none": True})
        chart.set_size({"width": 860 if wide else 720, "height": 320 if table.chart.line else 120 + 28 * last})
        return chart


def is_left(column: Column) -> bool:
    return column.kind in (Kind.TEXT, Kind.DAY, Kind.MONTH)
