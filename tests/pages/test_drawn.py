"""Charts that are not built again: the same for the same, another for anything else, and nobody's changes are anybody else's."""

import json
from uuid import UUID

import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.io import to_json

from pages import charts, drawn
from pages.marks import Marks, clickable
from sync_engine.insight.once import Kept

LIGHT, DARK = charts.look(dark=False), charts.look(dark=True)


@pytest.fixture
def asked(monkeypatch):
    """A builder that counts how often it really builds."""
    monkeypatch.setattr(drawn, "KEPT", Kept(512))
    built = []

    @drawn.once
    def build(frame: pd.DataFrame, *, style: charts.Look, said=None) -> go.Figure:
        built.append(frame)
        return go.Figure(go.Bar(x=list(frame["n"]), y=list(frame["unit"])), charts.layout(style, height=200))

    build.built = built
    return build


def units(*numbers):
    return pd.DataFrame({"unit": [f"U{place}" for place in range(len(numbers))], "n": numbers})


def test_the_same_is_built_once_and_is_the_same(asked):
    first, again = asked(units(1, 2), style=LIGHT), asked(units(1, 2), style=LIGHT)
    assert len(asked.built) == 1
    assert again is not first
    assert again.to_plotly_json() == first.to_plotly_json()


@pytest.mark.parametrize("other", [(units(1, 3), LIGHT), (units(1, 2, 3), LIGHT), (units(1, 2), DARK)])
def test_anything_else_is_another_chart(asked, other):
    frame, style = other
    first, second = asked(units(1, 2), style=LIGHT), asked(frame, style=style)
    assert len(asked.built) == 2
    assert second.to_plotly_json() != first.to_plotly_json()


def test_a_chart_of_single_documents_is_built_once_too(asked):
    """Their rows carry what the document is called in the database, and it is a chart of its own for other documents."""
    one, other = (units(1, 2).assign(document_id=[UUID(int=n), UUID(int=9)]) for n in (7, 8))
    asked(one, style=LIGHT)
    asked(one.copy(), style=LIGHT)
    assert len(asked.built) == 1
    asked(other, style=LIGHT)
    assert len(asked.built) == 2


def test_a_chart_that_somebody_changes_is_their_own(asked):
    as_built = asked(units(1, 2), style=LIGHT)
    before = as_built.to_plotly_json()
    as_built.update_layout(height=900)
    changed = asked(units(1, 2), style=LIGHT)
    assert changed.to_plotly_json() == before
    changed.add_vline(x=1)
    changed.data[0].x = (7, 8)
    assert asked(units(1, 2), style=LIGHT).to_plotly_json() == before


def test_what_cannot_be_told_apart_is_built_every_time(asked):
    for _ in range(2):
        asked(units(1, 2), style=LIGHT, said=lambda value: value)
    assert len(asked.built) == 2


def test_the_oldest_charts_go_first(asked, monkeypatch):
    monkeypatch.setattr(drawn, "KEPT", Kept(2))
    for number in (1, 2, 3):
        asked(units(number), style=LIGHT)
    asked(units(3), style=LIGHT)
    assert len(asked.built) == 3
    asked(units(1), style=LIGHT)
    assert len(asked.built) == 4


def test_a_chart_is_sent_as_it_was_checked_first(asked):
    """Whether somebody has looked into it or not, and what they change is sent."""
    plain = asked(units(1, 2), style=LIGHT, said=lambda value: value)
    kept, looked_into, changed = (asked(units(1, 2), style=LIGHT) for _ in range(3))
    assert looked_into.layout == plain.layout
    assert looked_into.data == plain.data
    changed.update_layout(height=900)
    assert json.loads(to_json(kept)) == json.loads(to_json(looked_into)) == json.loads(to_json(plain))
    assert '"height":900' in to_json(changed)
    assert '"height":900' not in to_json(asked(units(1, 2), style=LIGHT))
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = kept.no_such_thing


def test_marks_are_made_clickable_once_for_a_chart_and_what_it_opens(asked):
    frame, opens = units(1, 2), Marks([[{"unit": "U0"}, None]], ("unit",))
    figure = asked(frame, style=LIGHT)
    clickable(figure, opens)
    known = len(drawn.KEPT)
    again = clickable(asked(frame, style=LIGHT), opens)
    assert len(drawn.KEPT) == known
    assert again.layout.clickmode == "event+select"
    clickable(asked(frame, style=LIGHT), Marks([[None, {"unit": "U1"}]], ("unit",)))
    clickable(asked(units(1, 3), style=LIGHT), opens)
    assert len(drawn.KEPT) == known + 3
