"""Charts that are built in one go are what plotly makes of them piece by piece, and as surely without mistakes."""

import json
from datetime import date

import pandas as pd
import plotly.graph_objects as go
import pytest

from pages import charts, charts_spread, exporting, marks
from pages.drawing import Drawing, merged, put_together, taken_apart

LINE, FONT = {"color": "#545c66", "width": 1, "dash": "dash"}, {"color": "#545c66", "size": 12}


def told(shown):
    """What a browser gets to know of a figure."""
    return json.loads(shown.to_json())


def drawing():
    return Drawing(charts.layout(charts.LIGHT, height=300))


def figure():
    return go.Figure(layout=charts.layout(charts.LIGHT, height=300))


def test_what_is_said_later_holds_and_the_rest_stays():
    below = {"margin": {"l": 8, "r": 16}, "range": [0, 1, 2], "title": None, "height": 300}
    above = {"margin": {"r": 92}, "range": [5], "title": {"text": "h"}}
    assert merged(below, above) == {"margin": {"l": 8, "r": 92}, "range": [5], "title": {"text": "h"}, "height": 300}
    assert below["margin"] == {"l": 8, "r": 16}
    assert above == {"margin": {"r": 92}, "range": [5], "title": {"text": "h"}}


def test_it_is_what_plotly_makes_piece_by_piece():
    days = pd.Series(pd.to_datetime(["2026-09-01", "2026-09-08"]))
    made = drawing()
    made.trace("bar", x=days, y=pd.Series([3.0, 4.0]), marker={"color": "#0072B2"}, hovertemplate=None)
    made.trace("scatter", x=days, y=[1, 2], mode="lines")
    made.shape("rect", x0=0, x1=1, y0=2, y1=3, line={"width": 0}, layer="below")
    made.note("here", x=days[0], y=1, xanchor="left", font=FONT)
    made.lay(margin={"r": 92}, showlegend=True)
    made.x(showgrid=False, range=[0, 9])
    made.y(title={"text": "hours"})
    made.y(title={"font": FONT}, type="log")
    grown = figure()
    grown.add_bar(x=days, y=pd.Series([3.0, 4.0]), marker={"color": "#0072B2"})
    grown.add_scatter(x=days, y=[1, 2], mode="lines")
    grown.add_shape(type="rect", x0=0, x1=1, y0=2, y1=3, line_width=0, layer="below")
    grown.add_annotation(text="here", x=days[0], y=1, xanchor="left", showarrow=False, font=FONT)
    grown.update_layout(margin={"r": 92}, showlegend=True)
    grown.update_xaxes(showgrid=False, range=[0, 9])
    grown.update_yaxes(title={"text": "hours"})
    grown.update_yaxes(title={"font": FONT}, type="log")
    assert told(made.figure()) == told(grown)


@pytest.mark.parametrize("said", [None, "target 95 %"])
def test_a_line_across_is_plotlys(said):
    made, grown = drawing(), figure()
    made.across(95.0, LINE, said, FONT)
    grown.add_hline(y=95.0, line=LINE, **({"annotation": {"text": said, "font": FONT}} if said else {}))
    assert told(made.figure()) == told(grown)


@pytest.mark.parametrize("at", [7.5, date(2026, 9, 15), pd.Timestamp("2026-09-15")], ids=str)
def test_an_upright_line_is_plotlys(at):
    made, grown = drawing(), figure()
    made.upright(at, LINE)
    grown.add_vline(x=at, line=LINE)
    assert told(made.figure()) == told(grown)


@pytest.mark.parametrize("wrong", [{"traces": [{"type": "bar", "colour": "red"}]}, {"shapes": [{"type": "rect", "x9": 0}]}, {"layout": {"hight": 3}}], ids=str)  # fmt: skip
def test_what_plotly_does_not_know_is_a_mistake(wrong):
    """As it was when every piece was handed over on its own."""
    with pytest.raises(ValueError, match="Invalid property"):
        Drawing(**{"layout": {}, **wrong}).figure()


def units():
    return pd.DataFrame({"unit": ["DE", "FR"], "n": [2, 1], "said": ["two", "one"]})


def bars():
    return charts.bars(units(), label="unit", value="n", text="said", hover="said", style=charts.DARK)


def test_a_figure_taken_apart_is_nobodys():
    whole = bars()
    before = told(whole)
    parts = taken_apart(whole)
    assert told(put_together(parts)) == before
    parts["data"][0]["marker"]["color"] = "#ffffff"
    parts["layout"]["font"]["size"] = 99
    assert told(whole) == before


def test_a_chart_that_can_be_clicked_is_one_that_plotly_accepts():
    """Nothing checks it on its way to the browser."""
    plain = bars()
    before = told(plain)
    opened = marks.clickable(plain, marks.Marks([[{"unit": "FR"}, None]], ("unit",)))
    assert told(plain) == before
    assert go.Figure(opened.to_plotly_json()).to_json() == opened.to_json()
    [trace] = opened.data
    assert [list(one) for one in trace.customdata] == [["one", "unit=FR"], ["two", ""]]
    assert trace.hovertemplate == "%{customdata[0]}<extra></extra>"
    assert trace.selected.marker.opacity == trace.unselected.marker.opacity == 1
    assert opened.layout.clickmode == "event+select"


def test_a_click_makes_no_mark_stronger_than_it_was():
    dots = Drawing(charts.layout(charts.LIGHT, height=200))
    dots.trace(
        "scatter",
        x=[0],
        y=[0],
        mode="markers",
        marker={"opacity": 0.55},
        customdata=["one"],
        hovertemplate="%{customdata}",
    )
    [trace] = marks.clickable(dots.figure(), marks.Marks([[{"unit": "FR"}]], ("unit",))).data
    assert trace.selected.marker.opacity == trace.unselected.marker.opacity == trace.marker.opacity


def test_what_is_drawn_under_the_bars_of_a_click_stays_as_it_is():
    lined = Drawing(charts.layout(charts.LIGHT, height=200))
    lined.trace("scatter", x=[0, 1], y=[0, 1], mode="lines", hoverinfo="skip")
    opened = marks.clickable(lined.figure(), marks.Marks([[]], ("unit",)))
    assert opened.data[0].to_plotly_json() == lined.figure().data[0].to_plotly_json()


def test_a_picture_says_what_it_shows_in_the_light():
    weeks = pd.DataFrame({"week": pd.to_datetime(["2026-09-01", "2026-09-08"]), "share": [3.0, 4.0]})
    shown = charts.lines(
        weeks, x="week", series=[charts.Line("share", "by count", charts.STUCK)], style=charts.DARK, objective=(5.0, "objective"), versions=[(weeks["week"][1], "new rules")],
    )  # fmt: skip
    before = told(shown)
    picture = exporting.titled(shown, "It rose to 4 %", ["Share by week", "A note. " * 40, "As of now"])
    assert told(shown) == before
    assert picture.layout.title.text == "It rose to 4 %"
    assert [note.text for note in picture.layout.annotations[:3]] == ["by count", "objective", "new rules"]
    assert {note.font.color for note in picture.layout.annotations[:3]} == {charts.LIGHT.text}
    assert picture.layout.annotations[-1].text.startswith("Share by week<br>A note.")
    assert picture.layout.paper_bgcolor == charts.LIGHT.surface
    assert picture.layout.xaxis.gridcolor == charts.LIGHT.grid
    assert [shape.line.color for shape in picture.layout.shapes] == [charts.LIGHT.quiet, charts.WAITING]
    assert picture.layout.margin.r == 130


def test_a_picture_taken_in_the_dark_has_nothing_of_it():
    """Pale words on white were not there, and the numbers on the map's ways stood in black boxes."""
    units = pd.DataFrame({"unit": ["DE", "FR"], "n": [40, 60], "share": [0.1, 0.3], "said": ["a", "b"], "apart": [False, True]})  # fmt: skip
    limits = pd.DataFrame({"n": [1, 100], "low_95": [0.0, 0.1], "high_95": [0.9, 0.3], "low_99": [0.0, 0.05], "high_99": [1.0, 0.35]})  # fmt: skip
    shown = charts_spread.funnel(
        units, n="n", share="share", label="unit", hover="said", apart="apart", limits=limits, common=0.2, style=charts.DARK
    )  # fmt: skip
    noted = Drawing(charts.layout(charts.DARK, height=200))
    noted.trace("scatter", x=[0, 1], y=[0, 1], mode="markers", marker={"color": [charts.DARK.text, charts.STUCK]})
    noted.note("7", x=0, y=0, bgcolor=charts.DARK.surface)
    dark = (charts.DARK.text, charts.DARK.quiet, charts.DARK.grid, charts.DARK.surface)
    for picture in (exporting.titled(one, "It rose", ["A note."]) for one in (shown, noted.figure())):
        assert [colour for colour in dark if colour in picture.to_json()] == []


def test_a_tall_chart_is_not_squeezed_into_a_picture():
    """The words of a process map lay upon each other."""
    for height in (260, 1400):
        plain = Drawing(charts.layout(charts.LIGHT, height=height))
        plain.trace("scatter", x=[0, 1], y=[0, 1])
        picture = exporting.titled(plain.figure(), "It rose", ["A note."])
        margin = picture.layout.margin
        assert picture.layout.height - margin.t - margin.b >= height - 16, "16: what it leaves free above and below"
