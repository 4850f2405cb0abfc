"""The files: read back by programs that are not ours."""

import csv
import re
from datetime import date, timedelta
from decimal import Decimal

import openpyxl
import pypdfium2
import pytest
from django.db import connection
from psycopg import sql

from orders.models import Order
from reports import making, rows
from reports.exports.formulas import harmless, harmless_sql
from reports.kinds.sales import orders_of
from reports.models import Detail, Format, Kind, Report
from reports.period import Period
from tests.browser import SCREENSHOTS
from tests.reports.conftest import LAST

pytestmark = pytest.mark.django_db(transaction=True)  # a snapshot is a transaction of its own

YEAR = Period(LAST - timedelta(days=364), LAST)
JUNE = Period(date(2026, 6, 1), LAST)
QUIET = lambda *_: None  # noqa: E731

EVIL = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "x;=1",
    "x,-1",
    "x\t@1",
    'x"=1',
    "x|+1",
    "\uff1d1",
    "x;\uff0b1",
    "\tx",
]
GOOD = ["Night lamp", "x=1", "a-b", "a@b", "1+1", "Müller & Söhne", "x; y", "10 - 5", ""]


@pytest.fixture
def make(tmp_path, staff):
    """Make a report of the whole site, and return where it lies."""

    def made(format: str, kind: str = Kind.SALES, period: Period = YEAR, detail: str = Detail.TOTALS, owner=staff):  # noqa: A002
        days = {"first_day": period.first, "last_day": period.last}
        report = Report(owner=owner, everybody=owner.is_staff, kind=kind, format=format, detail=detail, **days)
        return making.make(report, tmp_path, QUIET)

    return made


# --- formulas ---


@pytest.mark.parametrize("text", EVIL)
def test_what_a_spreadsheet_would_take_for_a_formula_is_marked(text):
    for separator in (None, ",", ";", "\t", '"', "|", "\r", "\n"):
        for cell in harmless(text).split(separator) if separator else [harmless(text)]:
            assert not re.match(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]", cell), cell
    assert harmless(harmless(text)) == harmless(text), "once is enough"


@pytest.mark.parametrize("text", GOOD)
def test_all_else_is_left_as_it_is(text):
    assert harmless(text) == text


def test_the_database_does_the_same():
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL writes the lines itself")
    with connection.cursor() as cursor:
        for text in EVIL + GOOD:
            cursor.execute(sql.SQL("SELECT {}").format(harmless_sql(sql.Literal(text))))
            assert cursor.fetchone()[0] == harmless(text), repr(text)


def test_nothing_that_people_type_becomes_a_formula(sell, make):
    sell("2026-06-10", product='=HYPERLINK("http://evil.example/")', amount=100)
    sell("2026-06-10", product="x;=1+1", amount=200)
    for detail in Detail:
        text = make(Format.CSV, detail=detail, period=JUNE).read_text()
        assert not re.search(r'(^|[,;\t"])=', text, re.M), text
        assert "'=HYPERLINK" in text and "x;'=1+1" in text
    book = openpyxl.load_workbook(make(Format.XLSX, period=JUNE))
    cells = [cell for sheet in book for row in sheet for cell in row]
    assert any(cell.value == '=HYPERLINK("http://evil.example/")' for cell in cells), "as text it does nothing"
    assert {cell.data_type for cell in cells} <= {"s", "n", "d", "inlineStr"}
    assert not any(cell.hyperlink for cell in cells)


# --- CSV ---


def test_every_order_is_a_line(year, make):
    with make(Format.CSV, detail=Detail.ROWS).open(newline="") as file:
        found = list(csv.DictReader(file))
    assert tuple(found[0]) == rows.HEADER
    assert len(found) == 4000
    by_id = {line["order"]: line for line in found}
    for order in Order.objects.select_related("product", "owner")[:20]:
        line = by_id[str(order.pk)]
        assert Decimal(line["amount"]) * 100 == order.amount
        assert (line["product"], line["country"]) == (order.product.name, order.country)
        assert line["buyer"] == order.owner.email
        assert line["ordered_at_utc"] == f"{order.created_at:%Y-%m-%d %H:%M:%S}"
        assert bool(line["paid_at_utc"]) == bool(order.paid_at)


def test_other_databases_write_the_same_lines(sell, buyer, staff, make):
    sell("2026-06-10 12:00:59.9", amount=1234, product='Say "hello", twice')
    sell("2026-06-11", amount=5, currency="jpy", country="", paid=False)
    sell("2026-06-12", owner=staff)
    path = make(Format.CSV, detail=Detail.ROWS, period=JUNE)
    lines = path.read_bytes().partition(b"\r\n")[2].splitlines(keepends=True)
    assert sorted(lines) == sorted(rows.fetched(JUNE, None))
    assert len(list(rows.fetched(JUNE, buyer))) == 2
    assert make(Format.CSV, detail=Detail.ROWS, period=JUNE, owner=buyer).read_text().count("\n") == 3


def test_the_totals_are_one_tidy_table(year, make):
    with make(Format.CSV).open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    paid = sum(order.amount for order in orders_of(YEAR, None) if order.paid_at)
    for by in ("month", "day", "product", "country"):
        of = [line for line in found if line["by"] == by]
        assert sum(Decimal(line["Revenue"]) for line in of) * 100 == paid
    assert {line["of"] for line in found if line["by"] == "day"} == {str(day) for day in YEAR.every_day()}


# --- Excel ---


def test_a_spreadsheet_has_numbers_that_are_numbers_a_frozen_header_and_charts(year, make):
    book = openpyxl.load_workbook(make(Format.XLSX))
    assert book.sheetnames == ["Summary", "By month", "By day", "By product", "By country"]
    days = book["By day"]
    assert (days.freeze_panes, days.max_row) == ("B2", 366)
    assert days["A2"].is_date and days["H2"].number_format == "#,##0.00"
    net = sum(order.amount for order in orders_of(YEAR, None) if order.paid_at and not order.refunded_at)
    assert round(sum(row[7].value for row in days.iter_rows(min_row=2)) * 100) == net
    assert all(len(sheet._charts) == 1 for sheet in book)
    assert "UTC" in " ".join(str(cell.value) for [cell] in book["Summary"]["A1:A8"])


# --- PDF ---


@pytest.mark.parametrize("kind", [Kind.SALES, Kind.JOBS, Kind.VIDEOS])
def test_a_pdf_says_what_it_is_of_and_numbers_its_pages(year, make, kind):
    document = pypdfium2.PdfDocument(make(Format.PDF, kind=kind))
    pages = [page.get_textpage().get_text_range() for page in document]
    assert kind.label in pages[0] and "29 June 2025 to 28 June 2026" in pages[0] and "UTC" in pages[0]
    for number, text in enumerate(pages, 1):
        assert f"{number} of {len(pages)}" in text
    for number, page in enumerate(document, 1):
        page.render(scale=1.5).to_pil().save(SCREENSHOTS / f"report-{kind}-{number}.png")
    if kind == Kind.SALES:
        assert "Germany" in "".join(pages) and "Night lamp" in "".join(pages)


def test_a_pdf_of_few_days_lists_them(year, make):
    document = pypdfium2.PdfDocument(make(Format.PDF, period=JUNE))
    assert "17 Jun 2026" in "".join(page.get_textpage().get_text_range() for page in document)
    for number, page in enumerate(document, 1):
        page.render(scale=1.5).to_pil().save(SCREENSHOTS / f"report-june-{number}.png")


def test_words_that_a_pdf_font_lacks_or_that_look_like_markup_do_no_harm(sell, make):
    sell("2026-06-10", product="<b>Лампа</b> & 灯")
    assert pypdfium2.PdfDocument(make(Format.PDF, period=JUNE))
