"""The table people work in: columns that decide, selection by what a row is (never by where it stands), cards on a phone, and an
export that a spreadsheet reads as text and numbers.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from pages import exporting
from pages.context import Context
from pages.explaining import Definition
from pages.format import (
    CATEGORIES,
    count,
    day,
    due_words,
    duration,
    money,
    percent,
    plain,
    sentence,
    visible,
    when,
    words,
    working_time,
)
from pages.grids import grid
from sync_engine.control.roles import Action
from sync_engine.insight.once import Shared, once

MAX_ROWS = 2000
"""More rows than anybody reads; the export has them all, and the table says so."""

CARDS_PER_PAGE = 15

STATUS_COLOURS = {
    "ok": "green", "answering": "green", "alive": "green", "done": "green", "approved": "green", "read": "green", "in force": "green",
    "at risk": "orange", "changed after": "orange", "asked us to wait": "orange", "failing": "orange", "conflict": "orange", "running": "blue", "measuring": "blue", "asked": "blue",
    "broken": "red", "not answering": "red", "failed": "red", "denied": "red", "lost": "red", "refused": "red", "rejected": "red", "contradicted": "red", "firing": "red",
    "no data": "gray", "too few": "gray", "silent": "gray", "never reached": "gray", "stopped": "gray", "superseded": "gray", "waiting": "gray", "off": "gray", "not acted upon": "orange", "not heard of": "red",
}  # fmt: skip
"""Words of a "status" column that have a meaning in colour; every other word is shown plainly."""

Kind = Literal[
    "text",
    "id",
    "money",
    "group_money",
    "age",
    "working",
    "elapsed",
    "time",
    "date",
    "days",
    "count",
    "share",
    "words",
    "category",
    "link",
    "status",
    "rate",
    "latency",
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        name: Of the frame's column.
        label: Its heading.
        kind: How it is written. "money" needs the frame's `currency` beside it.
        width: small, medium, large or pixels.
        on_card: Shown on a phone's card.
        help: What it means.
        display: The text of a link column's links.
    """

    name: str
    label: str
    kind: Kind = "text"
    width: Any = None
    on_card: bool = False
    help: str | None = None
    display: str | None = None


def work_table(
    ctx: Context, frame: pd.DataFrame, columns: Sequence[Column], *, key: str, row_id: str, noun: str, title: Callable[[dict[str, Any]], str], selectable: bool = False,
    card_action: Callable[[dict[str, Any]], None] | None = None, height: int | None = None, there: int | None = None, everything: Callable[[], Iterable[pd.DataFrame]] | None = None, before: int = 0,
    of: Definition | None = None, window: str | None = None,
) -> list[str]:  # fmt: skip
    """Draw rows to work on, and answer the ids of the chosen ones, in the order of the table.

    Args:
        ctx: Who looks, at which screen.
        frame: The rows, already in their order.
        columns: What is shown and exported.
        key: Unique on the page.
        row_id: The column whose text names a row.
        noun: What a row is, for counts.
        title: A card's heading, as Markdown; outside text in it goes through `plain`.
        selectable: Whether rows can be chosen.
        card_action: Draws a card's action.
        height: Of the table in pixels; by its rows when not given.
        there: How many rows there are where `frame` holds the first of them alone.
        everything: Asks for all of them, a part at a time, for the export; only called for it.
        before: How many rows come before the first of `frame`.
        of: What the rows are, by a definition of the page, for the export; else the columns' own explanations are its meaning.
        window: Of which time they are; else the definition's, else the page's period.
    """
    shown = frame if len(frame) <= MAX_ROWS else frame.head(MAX_ROWS)
    row_ids = [str(value) for value in shown[row_id]]
    if ctx.narrow:
        chosen = _cards(ctx, shown, row_ids, columns, key=key, title=title, selectable=selectable, action=card_action)
    else:
        chosen = _grid(ctx, shown, row_ids, columns, key=key, selectable=selectable, height=height)
    _foot(
        ctx,
        frame,
        columns,
        key=key,
        noun=noun,
        there=there or len(frame),
        everything=everything or (lambda: [frame]),
        before=before,
        said=_said(ctx, columns, noun, of, window),
    )
    return chosen


def _said(ctx: Context, columns: Sequence[Column], noun: str, of: Definition | None, window: str | None) -> dict[str, str]:  # fmt: skip
    """What an export says of its rows."""
    helped = "; ".join(f"{column.label}: {column.help.rstrip('.')}" for column in columns if column.help)
    return {
        "What": f"{sentence(count(2, noun)[2:])}{f': {of.name}' if of else ''}",
        "Meaning": f"{sentence(of.what)}. Of: {of.population}. Left out: {of.left_out}." if of else helped,
        "Window": window or exporting.window(of),
        "As of": exporting.stamp(ctx),
    }


def _remembered(key: str) -> list[str]:
    found: list[str] = st.session_state.setdefault(f"{key}.chosen", [])
    return found


def forget_selection(key: str) -> None:
    """Choose nothing any more."""
    st.session_state[f"{key}.chosen"] = []
    st.session_state[f"{key}.generation"] = st.session_state.get(f"{key}.generation", 0) + 1


def choose(key: str, row_ids: Sequence[str]) -> None:
    """Choose these rows."""
    forget_selection(key)
    st.session_state[f"{key}.chosen"] = list(row_ids)


def _grid(
    ctx: Context,
    frame: pd.DataFrame,
    row_ids: list[str],
    columns: Sequence[Column],
    *,
    key: str,
    selectable: bool,
    height: int | None,
) -> list[str]:
    written = (_written_once if isinstance(frame, Shared) else _written_out)(frame, tuple(columns), ctx.zone)
    config = {column.name: _config(column) for column in columns}
    size: Any = height or min(46 + 35 * max(len(written), 1), 560)
    if not selectable:
        grid(written, column_config=config, height=size, key=key, placeholder="")
        return []
    # A kept selection is positions. When rows come, go or change places under it, positions mean other rows
    # (streamlit/streamlit#17026), so the widget is a new one for every order of rows, and is told what was chosen by id.
    generation = st.session_state.get(f"{key}.generation", 0)
    order = hashlib.sha256("\n".join(row_ids).encode()).hexdigest()[:16]
    remembered = set(_remembered(key))
    default = {"selection": {"rows": [position for position, name in enumerate(row_ids) if name in remembered]}}
    state = grid(
        written,
        column_config=config,
        height=size,
        key=f"{key}.{generation}.{order}",
        on_select="rerun",
        selection_mode="multi-row",
        selection_default=default,
        placeholder="",
    )
    chosen = [row_ids[position] for position in state["selection"]["rows"] if position < len(row_ids)]
    st.session_state[f"{key}.chosen"] = chosen
    return chosen


def _cards(
    ctx: Context,
    frame: pd.DataFrame,
    row_ids: list[str],
    columns: Sequence[Column],
    *,
    key: str,
    title: Callable[[dict[str, Any]], str],
    selectable: bool,
    action: Callable[[dict[str, Any]], None] | None,
) -> list[str]:
    pages = max(1, -(-len(frame) // CARDS_PER_PAGE))
    place = st.container()
    number = st.pagination(pages, key=f"{key}.page", max_visible_pages=5) if pages > 1 else 1
    first = (int(number) - 1) * CARDS_PER_PAGE
    remembered = set(_remembered(key))
    with place:
        for position, row in enumerate(frame.iloc[first : first + CARDS_PER_PAGE].to_dict("records"), start=first):
            name = row_ids[position]
            with st.container(border=True, gap="xsmall"):
                st.markdown(title(row), anchors=False)
                for column in columns:
                    if column.on_card and column.kind == "status" and row[column.name]:
                        st.badge(visible(row[column.name]), color=STATUS_COLOURS.get(row[column.name], "gray"))  # type: ignore[arg-type]
                    elif column.on_card:
                        st.text(f"{column.label}: {_written(ctx, row, column)}")
                with st.container(horizontal=True, vertical_alignment="center"):
                    if selectable:
                        wanted = st.checkbox("Choose", value=name in remembered, key=f"{key}.card.{name}")
                        (remembered.add if wanted else remembered.discard)(name)
                    if action is not None:
                        action(row)
    chosen = [name for name in row_ids if name in remembered]
    if selectable:
        st.session_state[f"{key}.chosen"] = chosen
    return chosen


def _foot(
    ctx: Context, frame: pd.DataFrame, columns: Sequence[Column], *, key: str, noun: str, there: int, everything: Callable[[], Iterable[pd.DataFrame]], before: int, said: dict[str, str],
) -> None:  # fmt: skip
    counted = count(there, noun)
    shown = min(len(frame), MAX_ROWS)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{counted}; {f'{before + 1:,} to {before + shown:,}' if before else f'the first {shown:,}'} are shown, the export has them all"
            if there > shown
            else counted,
            width="content",
        )
        if len(frame) and ctx.may(Action.EXPORT):
            exported = [(column.name, column.label) for column in columns if column.kind != "link"]
            if any(column.kind == "money" for column in columns):
                exported.append(("currency", "Currency"))
            progress = exporting.Progress(there)
            st.download_button(
                f"Export {counted} (CSV)",
                lambda: exporting.sheet_in_parts(everything(), exported, said, progress),
                file_name=f"{noun.replace(' ', '-')}s.csv",
                mime="text/csv",
                key=f"{key}.export",
                icon=":material/download:",
                type="tertiary",
                on_click=_begin_export,
                args=(ctx, key, progress),
            )
    exporting.show(key)


def _begin_export(ctx: Context, what: str, progress: exporting.Progress) -> None:
    ctx.note(Action.EXPORT, what=what, page=ctx.url_path, rows=progress.rows, filters=str(st.query_params.to_dict()))
    exporting.begin(what, progress)


def _written_out(frame: pd.DataFrame, columns: Sequence[Column], zone: ZoneInfo) -> pd.DataFrame:
    """What the grid shows of these rows."""
    return pd.DataFrame({column.name: _values(zone, frame, column) for column in columns})


_written_once = once(_written_out)


def _values(zone: ZoneInfo, frame: pd.DataFrame, column: Column) -> Any:
    """A column for the grid: numbers and times as such, so that sorting is by them; words as words."""
    source = frame[column.name]
    if column.kind in {
        "money",
        "group_money",
        "age",
        "working",
        "elapsed",
        "count",
        "share",
        "days",
        "rate",
        "latency",
    }:
        numbers = pd.to_numeric(source, errors="coerce")
        return numbers.astype(float) * {"working": 1 / 3600, "elapsed": 1 / 86400, "latency": 1000.0}.get(
            column.kind, 1.0
        )
    if column.kind == "time":
        return pd.to_datetime(source, utc=True).dt.tz_convert(zone.key)
    if column.kind == "date":
        return pd.to_datetime(source)
    if column.kind == "link":
        return source
    if column.kind == "status":
        return [[visible(value)] if value else [] for value in source]
    if column.kind == "words":
        return [words(value) if isinstance(value, str) else "" for value in source]
    if column.kind == "category":
        return [CATEGORIES.get(value, value) for value in source]
    return [visible(value) if value is not None else "" for value in source]


def _config(column: Column) -> Any:
    more: dict[str, Any] = {"width": column.width, "help": column.help}
    kinds = st.column_config
    match column.kind:
        case "money" | "group_money":
            return kinds.NumberColumn(column.label, format="%,.2f", **more)
        case "age":
            return kinds.NumberColumn(column.label, format="duration", alignment="right", **more)
        case "working" | "elapsed":
            unit, form = ("working h", "%,.1f") if column.kind == "working" else ("days", "%,.2f")
            return kinds.NumberColumn(f"{column.label} ({unit})", format=form, **more)
        case "count" | "days":
            return kinds.NumberColumn(column.label, format="%,d", **more)
        case "latency":
            return kinds.NumberColumn(column.label, format="%,.0f ms", **more)
        case "rate":
            return kinds.NumberColumn(column.label, format="%,.1f", **more)
        case "share":
            return kinds.NumberColumn(column.label, format="percent", **more)
        case "time":
            return kinds.DatetimeColumn(column.label, format="D MMM YYYY, HH:mm", **more)
        case "date":
            return kinds.DateColumn(column.label, format="D MMM YYYY", **more)
        case "status":
            return kinds.MultiselectColumn(
                column.label, options=list(STATUS_COLOURS), color=list(STATUS_COLOURS.values()), **more
            )
        case "link":
            return kinds.LinkColumn(column.label, display_text=column.display, **more)
        case _:
            return kinds.TextColumn(column.label, **more)


def _written(ctx: Context, row: dict[str, Any], column: Column) -> str:
    """A value in words, for a card."""
    value = row[column.name]
    writers: dict[str, Callable[[], str]] = {
        "money": lambda: money(value, row.get("currency")),
        "group_money": lambda: money(value),
        "age": lambda: duration(value),
        "elapsed": lambda: duration(value),
        "latency": lambda: duration(value),
        "working": lambda: working_time(value),
        "time": lambda: when(value, ctx.zone),
        "date": lambda: day(value),
        "days": lambda: due_words(value),
        "share": lambda: percent(value),
        "rate": lambda: "" if value is None or pd.isna(value) else f"{float(value):,.1f}",
        "words": lambda: words(value) if isinstance(value, str) else "",
        "category": lambda: CATEGORIES.get(str(value), str(value)),
    }
    return visible(writers.get(column.kind, lambda: "" if value is None else str(value))())


def copyable(label: str, text: object) -> None:
    """An identifier in monospace with a button that copies it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(plain(label), width=150)
        st.code(visible(text), language=None, width="content")
