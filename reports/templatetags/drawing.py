from django import template

from reports.charts import Mark
from reports.figures import size

register = template.Library()

SIDE = 1000  # of the square in which a chart is drawn, before it is stretched


@register.filter
def across(part: float) -> str:
    """{{ tick.at|across }}: 25.00%, from the left."""
    return f"{100 * part:.2f}%"


@register.filter
def down(part: float) -> str:
    """The same from above, as SVG counts."""
    return across(1 - part)


@register.filter
def outline(marks: list[Mark]) -> str:
    """The points of a line. One alone is drawn as a level."""
    ends = [marks[0]._replace(x=0.0), marks[0]._replace(x=1.0)] if len(marks) == 1 else marks
    return " ".join(f"{SIDE * mark.x:.1f},{SIDE * (1 - mark.y):.1f}" for mark in ends)


@register.filter
def bytes_in_words(count: int) -> str:
    return size(count)
