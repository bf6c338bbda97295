"""The named statements of `sql/queries`, parsed once by aiosql, which refuses a statement whose declared parameters are
not the ones it uses.

`sql("work.claim_due")` is the text of statement `claim_due` in `work.sql`, with psycopg's placeholders.
"""

from functools import cache
from typing import Any

import aiosql

from sql import QUERIES


@cache
def _files() -> dict[str, Any]:
    return {path.stem: aiosql.from_path(path, "psycopg", kwargs_only=True) for path in sorted(QUERIES.glob("*.sql"))}


@cache
def sql(name: str) -> str:
    """The text of the statement called "file.statement".

    Raises:
        KeyError: there is none.
    """
    file, _, statement = name.partition(".")
    if statement not in names_in(file):
        raise KeyError(f"there is no statement {name}")
    return str(getattr(_files()[file], statement).sql)


def names_in(file: str) -> tuple[str, ...]:
    """The statements of one file."""
    return tuple(name for name in _files()[file].available_queries if not name.endswith("_cursor"))


def names() -> tuple[str, ...]:
    """Every statement, as "file.statement"."""
    return tuple(f"{file}.{name}" for file in _files() for name in names_in(file))
