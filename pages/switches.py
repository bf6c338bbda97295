"""What else a page keeps in its address: a switch between a few ways of looking, and which rows of a figure are shown.

Like filters (pages/filters.py), the URL is the only truth and hostile input: a value that does not exist is said and left out.
And what such a page says shorter on a phone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import streamlit as st

from pages.context import Context
from pages.filters import address, put, put_all
from pages.format import count


@dataclass(frozen=True, slots=True)
class Switch:
    """One way of looking out of a few, by code; the first is what is shown without one."""

    name: str
    title: str
    options: Mapping[str, str]
    is_other_matter: bool = False
    """What else was chosen on the page is of what was shown before, and goes; who is asking and the period stay."""

    @property
    def default(self) -> str:
        """What is shown when the address says nothing."""
        return next(iter(self.options))


def read(switch: Switch) -> str:
    """What the address says of a switch."""
    return one_of(switch.name, switch.options) or switch.default


def one_of(name: str, known: Collection[str]) -> str | None:
    """A parameter of the address that is one of those `known`; None where there is none, or it is not."""
    asked = st.query_params.get(name)
    return asked if asked in known else None


def draw(*switches: Switch) -> None:
    """Draw switches side by side."""
    with st.container(
        horizontal=True, vertical_alignment="bottom", gap="medium", key=f"finsync.switches.{switches[0].name}"
    ):
        for switch in switches:
            key = f"finsync.switch.{switch.name}"
            st.session_state[key] = read(switch)
            st.segmented_control(
                switch.title,
                list(switch.options),
                key=key,
                format_func=switch.options.__getitem__,
                required=True,
                on_change=_write,
                args=(switch, key),
            )


def _write(switch: Switch, key: str) -> None:
    chosen = st.session_state[key] or switch.default
    value = None if chosen == switch.default else chosen
    if switch.is_other_matter:
        put_all(dict.fromkeys(set(address()) - {"as", "period", "since", "until"}) | {switch.name: value})
    else:
        put(switch.name, value)


def complain(known: Mapping[str, Collection[str]]) -> None:
    """Say which of these parameters the address gives a value that does not exist."""
    wrong = [
        name
        for name, values in known.items()
        if st.query_params.get(name) is not None and st.query_params.get(name) not in values
    ]
    if wrong:
        st.warning(
            f"The address of this page asks for something that does not exist here, and was read without it: {', '.join(wrong)}.",
            icon=":material/link_off:",
        )


def kept(*names: str) -> dict[str, str | list[str] | None]:
    """What a link to the same page takes along of these parameters."""
    return {
        name: (values[0] if len(values) == 1 else values) for name in names if (values := st.query_params.get_all(name))
    }


# -- on a phone -----------------------------------------------------------------------------------------------------------


def folded(ctx: Context, label: str) -> Any:
    """Room for a table beside the main one: on a phone, where its rows are cards, it opens when asked."""
    return st.expander(label, icon=":material/table_rows:") if ctx.narrow else st.container()


def show(ctx: Context, n: int, one: str) -> str:
    """The label of the link to the rows behind a figure."""
    return f"Show {n:,}" if ctx.narrow else f"Show {count(n, one)}"


def brief(ctx: Context, text: str) -> str:
    """A duration for a card: on a phone "1.1 days" (the card says that they are working days)."""
    return text.replace("working ", "") if ctx.narrow else text


def label(text: str, *, narrow: bool) -> str:
    """The label of a bar: on a phone in lines that leave room for the bar."""
    return "<br>".join(wrap(text, 18)) if narrow else text


def bars_height(ctx: Context, n: int) -> int | None:
    """How high a chart of n bars is: on a phone there is room for the lines of each label."""
    return 50 + 46 * n if ctx.narrow else None
