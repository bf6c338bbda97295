"""A list as evidence: a CSV that says what it is a list of, by which query and release, how many rows and how much money, and the
hash of its rows, so that what somebody files can be compared with what was drawn.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import streamlit as st

from pages.context import Context
from pages.format import GROUP_CURRENCY, cell, count, csv_bytes
from pages.tables import Column
from sync_engine.control.roles import Action
from sync_engine.settings import release

_MARK = "\ufeff".encode()


@dataclass(frozen=True)
class Evidence:
    """One list with where it comes from.

    Args:
        query: The named statement behind it, "report.decisions".
        arguments: What it was asked with, in words of the query.
        population: What the rows are, in a sentence.
        rows: All of them, in their order.
        columns: (column, heading) in order.
        sum_of: The column that is added up, in group currency; "" for none.
    """

    query: str
    arguments: str
    population: str
    rows: pd.DataFrame
    columns: Sequence[tuple[str, str]]
    sum_of: str = "group_amount"

    @property
    def table(self) -> bytes:
        """The rows with their headings: what the hash is of."""
        return csv_bytes(self.rows, self.columns).removeprefix(_MARK)

    @property
    def sha256(self) -> str:
        """Of `table`."""
        return hashlib.sha256(self.table).hexdigest()

    @property
    def total(self) -> Decimal | None:
        """The sum of the money column; None where there is none."""
        if not self.sum_of or self.sum_of not in self.rows:
            return None
        return sum((Decimal(value) for value in self.rows[self.sum_of].dropna()), Decimal(0))

    def file(self, *, asked_by: str, as_of: datetime) -> bytes:
        """The whole file: who, what and how much, an empty line, the rows."""
        table = self.table
        head = [
            ("Evidence", "Finance Workflow Sync"),
            ("Population", self.population),
            ("Query", self.query),
            ("Asked with", self.arguments),
            ("Release", release()),
            ("Asked by", asked_by),
            ("As of", as_of.astimezone(UTC).isoformat(timespec="seconds")),
            ("Rows", len(self.rows)),
            (f"Sum ({GROUP_CURRENCY})", self.total if self.total is not None else "no amounts"),
            ("SHA-256 of everything after the empty line (UTF-8, CRLF)", hashlib.sha256(table).hexdigest()),
        ]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerows((name, cell(value)) for name, value in head)
        return _MARK + out.getvalue().encode() + b"\r\n" + table


def columns_of(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """The columns of a table as evidence has them: everything but links."""
    return [(column.name, column.label) for column in columns if column.kind != "link"]


def offer(ctx: Context, evidence: Evidence, *, key: str, noun: str) -> None:
    """The button that takes the evidence away; that it was taken, and its hash, is noted."""
    if not ctx.may(Action.EXPORT) or evidence.rows.empty:
        return
    st.download_button(
        f"Take {count(len(evidence.rows), noun)} as evidence (CSV with population, sum and hash)",
        lambda: evidence.file(asked_by=ctx.person.user_id, as_of=ctx.moment.as_of),
        file_name=f"evidence-{evidence.query.removeprefix('report.')}-{ctx.moment.as_of:%Y%m%d-%H%M}.csv",
        mime="text/csv",
        key=key,
        icon=":material/verified:",
        on_click=_note,
        args=(ctx, evidence),
    )


def _note(ctx: Context, evidence: Evidence) -> None:
    ctx.note(
        Action.EXPORT,
        what="evidence",
        page=ctx.url_path,
        query=evidence.query,
        asked_with=evidence.arguments,
        rows=len(evidence.rows),
        sha256=evidence.sha256,
        release=release(),
    )
