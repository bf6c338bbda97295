"""What a click on a chart's mark opens: exactly its rows, by the page's own address, so that a link and the way back open them too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

import plotly.graph_objects as go
import streamlit as st

from pages import drawn
from pages.drawing import merged, put_together, taken_apart
from pages.filters import put_all

Asked = Mapping[str, str]
"""What a mark's rows are called in the address: parameter and value."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of a chart that can be opened.

    Args:
        asks: Per trace of the figure, per mark, what it opens; None: nothing.
        names: Every parameter of the page that says which rows are open: a click sets some and drops the others.
        said: What is told after a click: the list may lie above what one sees.
    """

    asks: Sequence[Sequence[Asked | None]]
    names: Collection[str]
    said: str = "The rows of this mark stand at the top of the page, under the figures."


@drawn.once
def clickable(figure: go.Figure, marks: Marks) -> go.Figure:
    """The figure with what each mark opens beside its words. Nothing fades when one is chosen: the chart says the same as before."""
    parts = taken_apart(figure)
    for trace, asks in zip(parts["data"], marks.asks, strict=True):
        if trace.get("customdata") is None:
            continue
        words = trace["customdata"]
        trace["customdata"] = [[said, urlencode(asked) if asked else ""] for said, asked in zip(words, asks, strict=True)]  # fmt: skip
        trace["hovertemplate"] = trace["hovertemplate"].replace("%{customdata}", "%{customdata[0]}")
        opacity = trace.get("marker", {}).get("opacity", 1)
        for chosen in ("selected", "unselected"):
            trace[chosen] = merged(trace.get(chosen, {}), {"marker": {"opacity": opacity}})
    parts["layout"]["clickmode"] = "event+select"
    return put_together(parts)


def clicked(key: str, marks: Marks) -> None:
    """Put what the mark just clicked opens into the address. What a browser sends is hostile: only the page's own names are taken."""
    points = st.session_state[key]["selection"]["points"]
    said = [point["customdata"][1] for point in points if len(point.get("customdata") or ()) > 1]
    asked = {name: value for name, value in parse_qsl(str(said[-1])) if name in marks.names} if said else {}
    if not asked:
        return
    put_all(dict.fromkeys(marks.names) | asked)
    st.toast(marks.said, icon=":material/table_rows:")
