"""What a reprocessing will ask of each system before it starts: whether it is up, how many calls, and what that is of its limit."""

import pandas as pd
import streamlit as st

from pages.context import Context
from pages.format import count, duration, plain
from sync_engine.insight.reports import health
from sync_engine.insight.reports.prices import Price, Work, asked, headroom, prices


def draw(ctx: Context, rows: pd.DataFrame) -> None:
    """The checks before and the price, one line per system."""
    now = health.moment_of(ctx.moment.as_of)
    systems = {one.system: one for one in health.systems(ctx.reports, None, as_of=now)}
    works = [Work(_text(row.flow), _text(row.step), str(row.system)) for row in rows.itertuples()]
    found = asked(ctx.reports, None, as_of=now)
    for price in prices(found, works, systems.values()):
        one = systems.get(price.system)
        if one is not None:
            _line(price, one, found.last_hour.get(price.system, 0), state=one.state(now))
    st.caption(
        f"The newest of these was refused {duration(rows['age_s'].min())} ago; repeat it once its cause is gone."
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _line(price: Price, one: health.SystemHealth, used_last_hour: int, *, state: str) -> None:
    room = headroom(one, used_last_hour)
    said = f"{plain(one.title)}: about {price.calls:,.0f} calls for {count(price.documents, 'document')}"
    said += f", {duration(max(1.0, price.seconds(room.limit_per_s)))} at its limit of {room.limit_per_s:g} a second"
    said += f"; {room.remaining:,} of {room.limit:,} calls are left to us ({room.source})"
    if price.unseen:
        said += f" (never seen lately, counted as one call: {plain(', '.join(price.unseen).replace('_', ' '))})"
    is_short = price.calls > room.remaining
    if state != "answering" or is_short:
        why = "its quota does not cover it" if is_short and state == "answering" else f"it is {state} now"
        st.warning(f"{said}. {why[0].upper()}{why[1:]}: what is sent waits.", icon=":material/warning:")
    else:
        st.caption(f"{said}.")
