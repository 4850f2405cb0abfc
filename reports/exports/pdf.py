"""Paper that one can put before somebody: a cover line, the figures that matter, charts, tables, page numbers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.shapes import Drawing, Line, Polygon, PolyLine, Rect, String
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    TableStyle,
)
from reportlab.platypus import Table as Grid

from reports import charts
from reports.figures import Column, Fact, Figures, Kind, Money, Table, written

NIGHT, HIGH, LAMP = HexColor("#0d1330"), HexColor("#1b2450"), HexColor("#ffb454")
INK, DIM, LINE, PALE = HexColor("#171e38"), HexColor("#58617d"), HexColor("#d9deea"), HexColor("#f3f4f9")
GLOW = Color(1, 0.706, 0.329, alpha=0.22)
WARM, GOOD, BAD = HexColor("#cb7206"), HexColor("#1c7a4a"), HexColor("#b3261e")

MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
COVER, FOOT = 64 * mm, 20 * mm
MOST_ROWS = 40  # of one table: paper is for reading, and whoever wants all of it takes the spreadsheet

FONT, BOLD = "Helvetica", "Helvetica-Bold"
TEXT = ParagraphStyle("text", fontName=FONT, fontSize=9, leading=12, textColor=INK)
CELL = ParagraphStyle("cell", parent=TEXT, fontSize=8.5, leading=11)
RIGHT = ParagraphStyle("right", parent=CELL, alignment=TA_RIGHT)
GROWN = ParagraphStyle("grown", parent=RIGHT, textColor=GOOD)
SHRUNK = ParagraphStyle("shrunk", parent=RIGHT, textColor=BAD)
NAME = ParagraphStyle("name", parent=CELL, fontName=BOLD, textColor=white)
NAME_RIGHT = ParagraphStyle("name right", parent=NAME, alignment=TA_RIGHT)
NOTE = ParagraphStyle("note", parent=TEXT, fontSize=8, leading=11.5, textColor=DIM)
HEADING = ParagraphStyle("heading", parent=TEXT, fontName=BOLD, fontSize=14, leading=18, spaceAfter=6)


def write(figures: Figures, path: Path, title: str, about: list[str]) -> None:
    name = f"{title}, {about[0]}"
    document = BaseDocTemplate(
        str(path), pagesize=A4, title=name, author="Nightshift", lang="en", leftMargin=MARGIN, rightMargin=MARGIN
    )

    def draw_cover(canvas: Canvas, _: object) -> None:
        cover(canvas, title, about)

    first, later = frame("first", COVER + 8 * mm), frame("later", 18 * mm)
    document.addPageTemplates(
        [
            PageTemplate("cover", [first], onPage=draw_cover, autoNextPageTemplate="later"),
            PageTemplate("later", [later]),
        ]
    )
    document.build(story(figures), canvasmaker=partial(Numbered, name))


def frame(name: str, top: float) -> Frame:
    return Frame(MARGIN, FOOT, WIDTH, A4[1] - FOOT - top, 0, 0, 0, 0, id=name)


def story(figures: Figures) -> list[Flowable]:
    told: list[Flowable] = [tiles(figures.facts), Spacer(0, 8 * mm)]
    first, *others = figures.tables
    if not first.in_print or not first.rows:
        told += [*chart_of(first), Spacer(0, 6 * mm)]
    for table in (first, *others):
        if table.in_print:
            told += section(table)
        elif table is not first and table.chart:
            told += [CondPageBreak(80 * mm), *chart_of(table), Spacer(0, 8 * mm)]
    notes = [Paragraph(escape(plain(note)), NOTE) for note in figures.notes]
    told.append(KeepTogether([Paragraph("How to read this", HEADING), *notes]))
    return told


def section(table: Table) -> list[Flowable]:
    """A heading, the chart, and the table."""
    if not table.rows:
        return [Paragraph(f"By {table.by}", HEADING), Paragraph("There was nothing.", NOTE), Spacer(0, 8 * mm)]
    told = [CondPageBreak(70 * mm), Paragraph(f"By {table.by}", HEADING), *chart_of(table), Spacer(0, 4 * mm)]
    told.append(grid(table))
    if len(table.rows) > MOST_ROWS:
        told.append(Spacer(0, 2 * mm))
        told.append(Paragraph(f"{len(table.rows) - MOST_ROWS:,} more are in the spreadsheet of this report.", NOTE))
    return [*told, Spacer(0, 9 * mm)]


# --- the cover line, and what is at the foot of each page ---


def cover(canvas: Any, title: str, about: list[str]) -> None:
    top, left = A4[1], MARGIN
    canvas.saveState()
    clip = canvas.beginPath()
    clip.rect(0, top - COVER, A4[0], COVER)
    canvas.clipPath(clip, stroke=0)
    canvas.linearGradient(0, top, 0, top - COVER, (NIGHT, HIGH), extend=True)
    for radius in range(60, 4, -2):  # the lamp's light
        canvas.setFillColor(Color(1, 0.706, 0.329, alpha=0.008))
        canvas.circle(A4[0] - 34 * mm, top - 26 * mm, radius * mm * 0.9, stroke=0, fill=1)
    for x, y in ((88, 14), (120, 22), (132, 9), (152, 41), (103, 50), (64, 8), (196, 47)):
        canvas.setFillColor(Color(1, 1, 1, alpha=0.5))
        canvas.circle(x * mm, top - y * mm, 0.5, stroke=0, fill=1)
    canvas.setFillColor(LAMP)
    canvas.circle(A4[0] - 34 * mm, top - 26 * mm, 8 * mm, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#3a3440"))
    canvas.circle(A4[0] - 30.6 * mm, top - 23.4 * mm, 7.2 * mm, stroke=0, fill=1)
    canvas.setFillColor(HexColor("#b3bbd8"))
    canvas.setFont(BOLD, 10)
    canvas.drawString(left, top - 17 * mm, "NIGHTSHIFT")
    canvas.setFillColor(white)
    canvas.setFont(BOLD, 30)
    canvas.drawString(left, top - 34 * mm, title)
    canvas.setFont(FONT, 13)
    canvas.drawString(left, top - 43 * mm, about[0])
    canvas.setFillColor(HexColor("#b3bbd8"))
    canvas.setFont(FONT, 9.5)
    canvas.drawString(left, top - 51 * mm, "  ·  ".join(map(plain, about[1:])))
    canvas.restoreState()


class Numbered(Canvas):
    """Writes "2 of 5" when it knows how many pages there are."""

    def __init__(self, foot: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.foot = foot
        self.pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802
        self.pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        pages = self.pages
        for number, page in enumerate(pages, 1):
            self.__dict__.update(page)
            self.setStrokeColor(LINE)
            self.line(MARGIN, 14 * mm, A4[0] - MARGIN, 14 * mm)
            self.setFillColor(DIM)
            self.setFont(FONT, 8)
            self.drawString(MARGIN, 9 * mm, f"Nightshift  ·  {self.foot}")
            self.drawRightString(A4[0] - MARGIN, 9 * mm, f"{number} of {len(pages)}")
            super().showPage()
        super().save()


# --- the figures that matter ---


def tiles(facts: list[Fact]) -> Grid:
    rows: list[list[Any]] = [list(map(tile, facts[at : at + 4])) for at in range(0, len(facts), 4)]
    last = rows[-1]
    last += [""] * (4 - len(last))
    style = [
        ("BACKGROUND", (0, 0), (-1, -1), PALE),
        ("LINEBEFORE", (1, 0), (-1, -1), 3 * mm, white),
        ("LINEABOVE", (0, 1), (-1, -1), 3 * mm, white),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 4 * mm),
        ("RIGHTPADDING", (0, 0), (-1, -1), 1 * mm),
        ("TOPPADDING", (0, 0), (-1, -1), 3.5 * mm),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5 * mm),
    ]
    return Grid(rows, colWidths=[WIDTH / 4] * 4, style=TableStyle(style))


def tile(fact: Fact) -> list[Flowable]:
    value = written(fact.kind, fact.value)
    room = WIDTH / 4 - 7 * mm
    fits = next((size for size in (15, 13, 11.5, 10, 9) if stringWidth(value, BOLD, size) < room), 8)
    big = ParagraphStyle("big", parent=TEXT, fontName=BOLD, fontSize=fits, leading=19)
    said: list[Flowable] = [Paragraph(escape(fact.name), NOTE), Paragraph(escape(value), big)]
    if fact.change is not None:
        said.append(Paragraph(change_in_words(fact), ParagraphStyle("change", parent=NOTE, fontName=BOLD)))
    return said


def change_in_words(fact: Fact) -> str:
    """Whether more of it is good, nobody here knows: so a change has no colour but that of ink."""
    return f'{written(Kind.CHANGE, fact.change)} <font name="{FONT}">to before</font>'


# --- tables ---


def grid(table: Table) -> Grid:
    rows = table.rows[:MOST_ROWS]
    names = [Paragraph(one.name, NAME if left(one) else NAME_RIGHT) for one in table.columns]
    body = [[cell(*one) for one in zip(table.columns, row, strict=True)] for row in rows]
    style = [
        ("BACKGROUND", (0, 0), (-1, 0), NIGHT),
        ("ROWBACKGROUNDS", (0, 1), (-1, -1), [white, PALE]),
        ("LINEBELOW", (0, 1), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("TOPPADDING", (0, 0), (-1, -1), 2.6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.4),
        ("LEFTPADDING", (0, 0), (-1, -1), 5),
        ("RIGHTPADDING", (0, 0), (-1, -1), 5),
    ]
    return Grid([names, *body], colWidths=widths(table.columns), repeatRows=1, style=TableStyle(style))


def cell(column: Column, value: Any) -> Paragraph | str:
    said = plain(written(column.kind, value))
    if isinstance(value, Money) and column.kind == Kind.MONEY:
        said = said.rpartition(" ")[0]  # the row says its currency
    if column.kind == Kind.CHANGE and value:
        return Paragraph(
            f'<font color="{(GOOD if value > 0 else BAD).hexval().replace("0x", "#")}">{said}</font>', RIGHT
        )
    return Paragraph(escape(said), CELL if left(column) else RIGHT)


def widths(columns: Sequence[Column]) -> list[float]:
    """What is left over goes to the first column."""
    room: dict[Kind, float] = {Kind.TEXT: 17, Kind.NUMBER: 17, Kind.MONEY: 25, Kind.CHANGE: 20, Kind.SPAN: 18}
    if len(columns) > 8:
        room |= {Kind.NUMBER: 14.5, Kind.MONEY: 22, Kind.TEXT: 19, Kind.CHANGE: 17}
    if columns[1].name == "Error":
        room[Kind.TEXT] = 50
    others = [room.get(one.kind, 20) * mm for one in columns[1:]]
    return [WIDTH - sum(others), *others]


def left(column: Column) -> bool:
    return column.kind in (Kind.TEXT, Kind.DAY, Kind.MONTH)


# --- charts ---


def chart_of(table: Table) -> list[Flowable]:
    if not table.chart or not table.rows:
        return []
    drawing = charts.draw(table)
    title = Paragraph(escape(plain(drawing.title)), ParagraphStyle("chart", parent=TEXT, fontName=BOLD, spaceAfter=4))
    return [KeepTogether([title, line_chart(drawing) if drawing.line else bar_chart(drawing)])]


def line_chart(drawing: charts.Drawing) -> Drawing:
    height, foot, side = 52 * mm, 7 * mm, 15 * mm
    paper = Drawing(WIDTH, height)
    inner_width, inner_height = WIDTH - side - 3 * mm, height - foot - 3 * mm

    def at(x: float, y: float) -> tuple[float, float]:
        return side + x * inner_width, foot + y * inner_height

    for tick in drawing.values:
        _, y = at(0, tick.at)
        paper.add(Line(side, y, WIDTH - 3 * mm, y, strokeColor=LINE, strokeWidth=0.5))
        paper.add(small(side - 2 * mm, y - 2.5, tick.label, "end"))
    points = [at(mark.x, mark.y) for mark in drawing.marks]
    if len(points) == 1:
        points.append(at(1, drawing.marks[0].y))
    outline = [at(0, 0), *points, at(1, 0)]
    paper.add(Polygon([part for point in outline for part in point], fillColor=GLOW, strokeColor=None))
    paper.add(PolyLine([part for point in points for part in point], strokeColor=WARM, strokeWidth=1.6))
    for tick in drawing.labels:
        x, _ = at(tick.at, 0)
        paper.add(
            small(x, foot - 4 * mm, tick.label, "middle" if 0 < tick.at < 1 else "start" if tick.at == 0 else "end")
        )
    return paper


def bar_chart(drawing: charts.Drawing) -> Drawing:
    row, side = (6.2 if len(drawing.marks) < 9 else 5) * mm, 38 * mm
    paper = Drawing(WIDTH, row * len(drawing.marks) + 1 * mm)
    room = WIDTH - side - 30 * mm
    for number, mark in enumerate(drawing.marks):
        y = row * (len(drawing.marks) - number - 1) + 1 * mm
        paper.add(small(side - 3 * mm, y + row / 5, cut(plain(mark.label), side - 4 * mm), "end", INK))
        paper.add(
            Rect(side, y, max(0.6, room * mark.y), row - 1.5 * mm, rx=1.4, ry=1.4, fillColor=LAMP, strokeColor=None)
        )
        paper.add(small(side + room * mark.y + 2 * mm, y + row / 5, mark.value, "start", INK))
    return paper


def small(x: float, y: float, text: str, anchor: str, color: Color = DIM) -> String:
    return String(x, y, text, fontName=FONT, fontSize=7.5, fillColor=color, textAnchor=anchor)


def cut(text: str, room: float) -> str:
    while stringWidth(text, FONT, 7.5) > room:
        text = f"{text.rstrip('…')[:-1]}…"
    return text


def plain(text: str) -> str:
    """In the letters that every reader of PDF has without a font being sent along. Others become a question mark."""
    return text.encode("cp1252", "replace").decode("cp1252")
