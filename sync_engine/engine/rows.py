"""Rows on their way to one statement, as the parallel arrays that `unnest` takes."""

from typing import Any


class Rows:
    """Rows for one statement, kept as tuples and handed over as parallel arrays."""

    __slots__ = ("columns", "rows", "statement")

    def __init__(self, statement: str, *columns: str) -> None:
        self.statement = statement
        self.columns = columns
        self.rows: list[tuple[Any, ...]] = []

    def add(self, *values: Any) -> None:
        """One row, in the order of the columns."""
        self.rows.append(values)

    def arrays(self) -> dict[str, list[Any]]:
        """The rows turned on their side."""
        return dict(zip(self.columns, map(list, zip(*self.rows, strict=True)), strict=True))
