"""Text that spreadsheets would take for a formula, made harmless.

After OWASP's page on CSV injection: a cell must not begin with = + - @, a tab or a line end, nor their wide forms. As
spreadsheets of some countries split at semicolons or tabs, and a quote may then be an ordinary character, the same goes
for what follows anything that may end a cell. A quotation mark is put before it, which spreadsheets show as text.
Numbers and times are written by us, and stay what they are.
"""

import re

from psycopg import sql

# Where a cell may begin, and what it must not begin with: in words that Python and PostgreSQL both understand.
BEGINS = r"""(?<![^,;|"\t\r\n])(?= *[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|[\t\r\n])"""
MARK = "'"

_begins = re.compile(BEGINS)


def harmless(text: str) -> str:
    return _begins.sub(MARK, text)


def harmless_sql(text: sql.Composable) -> sql.Composable:
    """The same, said to PostgreSQL."""
    return sql.SQL("regexp_replace({}, {}, {}, 'g')").format(text, sql.Literal(BEGINS), sql.Literal(MARK))
