"""The process map as a plotly figure: one lane and one colour per document type, activities in the order in which they usually come,
and the steps between them. Pure, as `pages.charts` is. What is drawn is chosen here too: the most frequent, and what keeps it whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, hypot, log1p
from textwrap import wrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from pages import drawn
from pages.charts import OK, STUCK, UNKNOWN, WAITING, WATCH, Look, layout
from pages.drawing import Drawing
from sync_engine.insight.once import once

MOST_NODES = 40
"""More than that nobody reads."""

TYPE_COLOURS = {
    "requisition": WAITING, "approval": "#CC79A7", "purchase_order": OK, "change_order": WATCH, "goods_receipt": "#56B4E9", "invoice": STUCK, "posting": UNKNOWN,
    "supplier": "#8C6D31",
}  # fmt: skip
OTHERS = (WAITING, OK, STUCK, "#CC79A7", WATCH, "#56B4E9", UNKNOWN, "#8C6D31")
"""For the object types of other makers' logs, by their place."""

LANE, RARE, ROW = 1.75, 1.15, 11
"""Between two lanes, down to the row of what is rare, and how many activities the row of the usual ones holds at most."""


BESIDE = 0.1
"""How far from an activity its lines begin."""


def colour_of(document_type: str, place: int) -> str:
    """A document type's colour, the same on every map."""
    return TYPE_COLOURS.get(document_type, OTHERS[place % len(OTHERS)])


@dataclass(frozen=True)
class Drawn:
    """What of a map is drawn, and the share of what happened that is not."""

    nodes: pd.DataFrame
    edges: pd.DataFrame
    hidden_nodes: int
    hidden_edges: int
    hidden_share: float
    """Of all steps between two activities, by how often they were taken."""
    too_many: int = 0
    """Activities left out because of MOST_NODES alone."""


@once
def choose(steps: pd.DataFrame, *, nodes_percent: int, edges_percent: int) -> Drawn:
    """The most frequent activities and steps; every activity drawn keeps its most frequent way in and out, so that none floats."""
    activities = steps[steps["from_activity"].isna()].sort_values("n", ascending=False, kind="stable")
    between = steps[steps["from_activity"].notna() & (steps["from_activity"] != "")].sort_values("n", ascending=False, kind="stable")  # fmt: skip
    wanted = ceil(len(activities) * nodes_percent / 100)
    nodes = activities.head(min(wanted, MOST_NODES))
    names = set(zip(nodes["document_type"], nodes["activity"], strict=True))
    inside = [
        (kind, before) in names and (kind, activity) in names
        for kind, before, activity in zip(between["document_type"], between["from_activity"], between["activity"], strict=True)
    ]  # fmt: skip
    possible = between[pd.Series(inside, index=between.index, dtype=bool)]
    other = possible[possible["from_activity"] != possible["activity"]]
    kept = set(possible.head(ceil(len(between) * edges_percent / 100)).index)
    kept |= set(other.drop_duplicates(["document_type", "activity"]).index)
    kept |= set(other.drop_duplicates(["document_type", "from_activity"]).index)
    edges = possible[possible.index.isin(kept)]
    taken = between["n"].sum()
    share = float(1 - edges["n"].sum() / taken) if taken else 0.0
    return Drawn(nodes, edges, len(activities) - len(nodes), len(between) - len(edges), share, max(0, wanted - MOST_NODES))  # fmt: skip


Spot = tuple[float, float]
Places = dict[tuple[str, str], Spot]
Way = tuple[list[float], list[float]]


def places(nodes: pd.DataFrame, types: Sequence[str], *, narrow: bool) -> Places:
    """Where each activity stands: in its type's lane, in the order in which documents come to it; what few do stands a row lower. On a
    phone they stand under each other."""
    found: Places = {}
    top = 0.0
    for kind in types:
        lane = nodes[nodes["document_type"] == kind].sort_values("place", kind="stable")
        if lane.empty:
            continue
        if narrow:
            for i, activity in enumerate(lane["activity"]):
                found[kind, activity] = (0.0, top - i)
            top -= len(lane) + 1
            continue
        usual = set(lane.sort_values("documents", ascending=False, kind="stable").head(ROW)["activity"])
        often = lane["documents"].max() * 0.1
        rows: dict[bool, list[str]] = {True: [], False: []}
        for activity, documents in zip(lane["activity"], lane["documents"], strict=True):
            rows[activity in usual and documents >= often].append(activity)
        for i, activity in enumerate(rows[True]):
            found[kind, activity] = ((i + 0.5) / max(len(rows[True]), 5) * ROW, top)
        for activity, x in _beneath(lane, rows, found, kind):
            found[kind, activity] = (x, top - RARE)
        top -= LANE + (RARE if rows[False] else 0)
    return found


def _beneath(lane: pd.DataFrame, rows: dict[bool, list[str]], found: Places, kind: str) -> list[tuple[str, float]]:
    """Where rare activities stand: beneath where documents are by then, one after the other with room for their names."""
    place = dict(zip(lane["activity"], lane["place"].astype(float), strict=True))
    marks = [(place[name], found[kind, name][0]) for name in rows[True]]
    wanted = [
        (sum(x for _, x in near) / 2, name)
        for name in rows[False]
        for near in [sorted(marks, key=lambda mark: abs(mark[0] - place[name]))[:2]]
    ]
    apart = min(1.05, (ROW - 1) / max(len(wanted) - 1, 1))
    found_at: list[tuple[str, float]] = []
    last = 0.5 - apart
    for i, (x, name) in enumerate(sorted(wanted)):
        last = min(max(x, last + apart), ROW - 0.5 - apart * (len(wanted) - 1 - i))
        found_at.append((name, last))
    return found_at


@dataclass(frozen=True)
class Words:
    """How the map writes things: an activity, a type, the number that stands at a mark, by the name of what is measured, and what a mark
    says when asked. Functions with names of their own, so that a map is known by them (pages/drawn.py)."""

    activity: Callable[[str], str]
    kind: Callable[[str], str]
    metric: Callable[[str, Any], str]
    asked: Callable[[Any], str]


@drawn.once
def process_map(drawn: Drawn, joins: pd.DataFrame, *, types: Sequence[str], metric: str, words: Words, style: Look, narrow: bool) -> go.Figure:  # fmt: skip
    """The map. Every mark carries (document type, step from or None, activity) as its custom data."""
    spots = places(drawn.nodes, types, narrow=narrow)
    drawing = _paper(spots, style, narrow=narrow)
    most = max(float(drawn.edges[metric].astype(float).max()) if len(drawn.edges) else 0.0, 1e-9)
    for row in _strongest(joins).to_dict("records"):
        ends = spots.get((row["from_type"], row["from_activity"])), spots.get((row["document_type"], row["activity"]))
        if ends[0] and ends[1] and not narrow:
            _join(drawing, ends[0], ends[1], f"{row['n']:,} {words.kind(row['document_type'])}: began after “{words.activity(row['from_activity'])}” of their {words.kind(row['from_type'])}", style)  # fmt: skip
    for row in drawn.edges.to_dict("records"):
        kind = row["document_type"]
        colour = colour_of(kind, types.index(kind))
        value = row[metric]
        width = 1 + 5 * log1p(0.0 if pd.isna(value) else float(value)) / log1p(most)
        ends = spots[kind, row["from_activity"]], spots[kind, row["activity"]]
        _edge(drawing, _curve(*ends, _row_of(kind, ends, spots), narrow=narrow), row, words.metric(metric, row), width, colour, words, style, narrow=narrow)  # fmt: skip
    for kind in types:
        lane = drawn.nodes[drawn.nodes["document_type"] == kind]
        if len(lane):
            _lane(drawing, lane, metric, spots, colour_of(kind, types.index(kind)), words, style, narrow=narrow)
    _name_lanes(drawing, spots, types, words, style, narrow=narrow)
    return drawing.figure()


def _strongest(joins: pd.DataFrame) -> pd.DataFrame:
    """Of two types, the place where most join, and every other that a fifth of them take."""
    pair = joins.groupby(["from_type", "document_type"])["n"]
    return joins[(joins["n"] == pair.transform("max")) | (joins["n"] >= pair.transform("sum") / 5)]


def _paper(spots: Places, style: Look, *, narrow: bool) -> Drawing:
    """What the map is drawn on, with nothing but room."""
    heights = [y for _, y in spots.values()] or [0.0]
    low, high = min(heights), max(heights)
    drawing = Drawing(layout(style, height=int((high - low) * (52 if narrow else 92) + 190)))
    bare: dict[str, Any] = {
        "showgrid": False,
        "showline": False,
        "zeroline": False,
        "showticklabels": False,
        "automargin": False,
    }
    drawing.x(**bare, range=[-1.0, 3.4] if narrow else [-0.2, ROW + 0.2])
    drawing.y(**bare, range=[low - 0.85, high + 1.05])
    drawing.lay(clickmode="event+select", hovermode="closest")
    return drawing


def _name_lanes(drawing: Drawing, spots: Places, types: Sequence[str], words: Words, style: Look, *, narrow: bool) -> None:  # fmt: skip
    for kind in types:
        tops = [y for (of, _), (_, y) in spots.items() if of == kind]
        if tops:
            drawing.note(
                f"<b>{words.kind(kind)}</b>",
                x=-0.9 if narrow else -0.15,
                y=max(tops) + (0.6 if narrow else 0.78),
                xanchor="left",
                font={"size": 13, "color": style.text},
            )


def _lane(drawing: Drawing, lane: pd.DataFrame, metric: str, spots: Places, colour: str, words: Words, style: Look, *, narrow: bool) -> None:  # fmt: skip
    rows = lane.to_dict("records")
    at = [spots[row["document_type"], row["activity"]] for row in rows]
    top = max(y for _, y in at)
    gap = " · " if narrow else "<br>"
    drawing.trace(
        "scatter", x=[x for x, _ in at], y=[y for _, y in at], mode="markers+text",
        marker={"size": 17, "color": colour, "line": {"color": style.surface, "width": 2}, "opacity": 1},
        selected={"marker": {"size": 23}}, unselected={"marker": {"opacity": 1}},
        text=["<br>".join(wrap(words.activity(row["activity"]), 26 if narrow else 13)) + f"{gap}<b>{words.metric(metric, row)}</b>" for row in rows],
        textposition="middle right" if narrow else ["top center" if y == top else "bottom center" for _, y in at], textfont={"size": 11, "color": style.text},
        customdata=[[row["document_type"], None, row["activity"], words.asked(row)] for row in rows], hovertemplate="%{customdata[3]}<extra></extra>", cliponaxis=False,
    )  # fmt: skip


def _edge(drawing: Drawing, way: Way, row: dict[str, Any], number: str, width: float, colour: str, words: Words, style: Look, *, narrow: bool) -> None:  # fmt: skip
    xs, ys = way
    middle = len(xs) // 2
    sizes = [0.0] * len(xs)
    sizes[middle] = 9 + width
    named = [row["document_type"], row["from_activity"], row["activity"], words.asked(row)]
    drawing.trace(
        "scatter", x=xs, y=ys, mode="lines+markers", line={"color": colour, "width": width}, opacity=0.75,
        marker={"symbol": "arrow", "angleref": "previous", "size": sizes, "color": colour, "opacity": 1, "line": {"width": 0}},
        unselected={"marker": {"opacity": 1}}, customdata=[named] * len(xs), hovertemplate="%{customdata[3]}<extra></extra>",
    )  # fmt: skip
    drawing.note(
        number, x=xs[middle], y=ys[middle], font={"size": 10, "color": style.quiet},
        yshift=0 if narrow else -9, xshift=-16 if narrow else 0, bgcolor=style.surface, borderpad=0, opacity=0.9,
    )  # fmt: skip


def _join(drawing: Drawing, start: Spot, end: Spot, said: str, style: Look) -> None:
    xs, ys = _bend(start, end, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.2))
    drawing.trace(
        "scatter", x=xs, y=ys, mode="lines", line={"color": style.quiet, "width": 1.2, "dash": "dot"}, opacity=0.7, hovertemplate=f"{said}<extra></extra>",
    )  # fmt: skip


def _row_of(kind: str, ends: tuple[Spot, Spot], spots: Places) -> tuple[bool, bool]:
    """Whether a step runs in the upper row of its lane, and whether other activities stand between its ends."""
    (x0, y0), (x1, y1) = ends
    top = max(y for (of, _), (_, y) in spots.items() if of == kind)
    between = any(y == y0 and min(x0, x1) < x < max(x0, x1) for (of, _), (x, y) in spots.items() if of == kind)
    return y0 == y1 == top, between


def _curve(start: Spot, end: Spot, row: tuple[bool, bool], *, narrow: bool) -> Way:
    """A step's way: straight to the neighbour, on the side without names past others and backwards, a loop to itself. On a phone to the
    left."""
    (x0, y0), (x1, y1) = start, end
    is_upper, is_over_others = row
    side = -1 if is_upper else 1
    if start == end:
        return _bend((x0, y0 + 0.12), (x0, y0 - 0.12), (x0 - 0.5, y0)) if narrow else _bend((x0 - 0.12, y0), (x0 + 0.12, y0), (x0, y0 + 0.6 * side))  # fmt: skip
    if narrow:
        down = y0 - y1
        bow = 0.0 if 0 < down <= 1 else min(0.25 + 0.05 * abs(down), 0.8)
        return _bend(start, end, (x0 - 2 * bow, (y0 + y1) / 2))
    if y0 != y1:
        return _bend(start, end, ((x0 + x1) / 2 + (0.25 if y0 > y1 else -0.25), (y0 + y1) / 2))
    bow = 0.0 if x1 > x0 and not is_over_others else min(0.14 + 0.05 * abs(x1 - x0), 0.4)
    return _bend(start, end, ((x0 + x1) / 2, y0 + 2 * bow * side))


def _bend(start: Spot, end: Spot, over: Spot, n: int = 12) -> Way:
    """Points of a quadratic Bezier curve, from beside its start to beside its end: what is clicked on an activity is the activity."""
    beside = min(0.3, BESIDE / max(hypot(end[0] - start[0], end[1] - start[1]), BESIDE))
    ts = [beside + (1 - 2 * beside) * i / n for i in range(n + 1)]
    xs, ys = ([(1 - t) ** 2 * start[i] + 2 * t * (1 - t) * over[i] + t**2 * end[i] for t in ts] for i in (0, 1))
    return xs, ys
