"""What was told outside of the application, and whether it got through. Part of the alerts page."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.format import count, plain
from pages.tables import Column, work_table

SHOWN = timedelta(days=30)

STATUS = {"due": "waiting", "sending": "running", "sent": "done", "overtaken": "superseded", "given_up": "failed"}
COLUMNS = (
    Column("standing", "State", "status", on_card=True, width=110),
    Column("destination", "To", on_card=True),
    Column("rule", "Rule"),
    Column("severity", "Severity", "words"),
    Column("alerts", "Alerts", "count"),
    Column("created_at", "Made", "time", on_card=True),
    Column(
        "due_at",
        "Next try",
        "time",
        help="Outside of working hours a notice waits for the morning, unless it is critical.",
    ),
    Column("tries", "Tries", "count"),
    Column("last_error", "What was answered", width=320),
)


def draw(ctx: Context, rows: Sequence[dict[str, Any]]) -> None:
    """Notices of the last month, those that did not get through first."""
    failed = sum(row["status"] == "given_up" for row in rows)
    st.subheader(
        f"{count(failed, 'notice')} did not get through"
        if failed
        else f"{count(len(rows), 'notice')} in {SHOWN.days} days",
        anchor=False,
    )
    if not rows:
        frame.nothing_happened(
            "Nothing was told outside: every alert stands in the inbox, and no rule's route names a destination that something was due for."
        )
        return
    shown = pd.DataFrame(
        [
            {
                **row,
                "standing": STATUS[row["status"]],
                "row": f"{row['destination']} {row['created_at']} {position}",
                "due_at": row["due_at"] if row["settled_at"] is None else None,
            }
            for position, row in enumerate(rows)
        ],
        dtype=object,
    )
    work_table(
        ctx,
        shown,
        COLUMNS,
        key="alerts.notices",
        row_id="row",
        noun="notice",
        title=lambda row: f"**{plain(row['destination'])}** · {plain(row['rule'])}",
    )
