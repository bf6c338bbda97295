"""What every page rests on: who is asking, what they may open, the filters, and what happens when something is away."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from pages import PAGES, charts, charts_spread, filters, offered
from sync_engine.control.people import MissingClaims, from_claims, load_people
from sync_engine.control.roles import LANDING, Role
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, words_of

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]


DRAWN_BY_IMPORTS = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_string("import importlib\\nfor name in %r:\\n    importlib.import_module(name)\\nimport app\\n", default_timeout=30).run()
sys.exit(f"{app.exception} {list(app.main)} {list(app.sidebar)}" if app.exception or len(app.main) or len(app.sidebar) else 0)
"""


def test_importing_a_page_draws_nothing():
    """In a process of its own: nothing has been imported there yet (STYLE hazard 1)."""
    modules = [f"pages.{path.stem}" for path in SOURCES if path.parent.name == "pages" and path.stem != "__init__"]
    done = subprocess.run(
        [sys.executable, "-c", DRAWN_BY_IMPORTS % modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_page_writes_html_of_its_own_or_uses_a_bare_cache(path):
    source = path.read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in source
    assert "unsafe_allow_javascript" not in source
    assert "st.cache_data" not in source, (
        "answers are remembered by sight (sync_engine.insight.reports), not by argument"
    )
    assert not re.search("[\U0001f300-\U0001faff\u2600-\u27bf]", source), "no emoji"
    if path.name != "app.py":
        names = {
            alias.name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        modules = {node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
        assert not [
            name
            for name in (*names, *modules)
            if name.startswith(("collectors", "sandbox", "sync_engine.engine", "sync_engine.cli"))
        ]


def test_every_setting_of_the_application_is_one_streamlit_has():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    known = config.get_config_options(force_reparse=False)

    def names(table, path=""):
        for name, value in table.items():
            yield from names(value, f"{path}{name}.") if isinstance(value, dict) else [f"{path}{name}"]

    assert [name for name in names(settings) if name not in known] == []
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["client"]["disableDataExport"] is True
    assert settings["server"]["allowedHosts"]
    light = settings["theme"]["light"]
    meanings = (charts.OK, charts.WATCH, charts.STUCK, charts.WAITING)
    assert [light[name].upper() for name in ("greenColor", "orangeColor", "redColor", "blueColor")] == [
        colour.upper() for colour in meanings
    ]


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_pair_of_text_and_ground_can_be_read(mode):
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][mode]
    assert contrast(theme["textColor"], theme["backgroundColor"]) >= 7
    assert contrast(theme["linkColor"], theme["backgroundColor"]) >= 4.5
    for name in ("green", "orange", "red", "blue", "gray"):
        assert contrast(theme[f"{name}TextColor"], theme[f"{name}BackgroundColor"]) >= 4.5, name
    style = charts.look(dark=mode == "dark")
    assert contrast(style.text, style.surface) >= 7
    assert contrast(style.quiet, style.surface) >= 4.5


# -- who is asking ------------------------------------------------------------------------------------------------------------


def test_everybody_lands_on_a_page_they_may_open_and_the_auditor_may_open_all():
    assert offered(frozenset({Role.AUDITOR})) == list(PAGES)
    for role in Role:
        assert offered(frozenset({role}))
        assert role in LANDING
    assert offered(frozenset()) == []
    assert len({page.URL_PATH for page in PAGES}) == len(PAGES)


def test_the_finance_leader_lands_on_the_overview_and_operations_on_the_queue(world):
    assert world.look(person=LEADER).title[0].value == "Does the money flow, and where does it stand still?"
    assert world.look(person=OPERATIONS).title[0].value == "What needs a person, and what does it hold up?"


def test_who_is_asking_stands_in_the_address_and_somebody_unknown_is_said(world):
    app = world.look("overview", person="nobody@demo.test")
    assert "Nobody is called" in words_of(app)
    assert app.query_params["as"] == LEADER
    app.selectbox(key="finsync.as").set_value(ANALYST).run()
    assert app.query_params["as"] == ANALYST
    assert "DE-SOUTH" in words_of(app)


def test_in_production_nobody_can_be_switched_to_and_nobody_is_let_in_without_an_identity_provider(world, monkeypatch):
    monkeypatch.setenv("FINSYNC_MODE", "production")
    app = world.look("overview", person=LEADER)
    assert app.title[0].value == "Nobody can be let in yet"
    assert not app.selectbox
    assert "FINSYNC_OIDC_METADATA_URL" in words_of(app)


@pytest.fixture
def provider(world, monkeypatch):
    monkeypatch.setenv("FINSYNC_MODE", "production")
    for name, value in {
        "OIDC_METADATA_URL": "http://127.0.0.1:1/x",
        "OIDC_CLIENT_ID": "x",
        "OIDC_CLIENT_SECRET": "x",
        "COOKIE_SECRET": "x" * 40,
    }.items():
        monkeypatch.setenv(f"FINSYNC_{name}", value)

    def log_in(**claims):
        world.stop_the_clock()
        app = AppTest.from_string("from app import main\n\nmain()", default_timeout=30)
        app.user = claims
        app.query_params["as"] = LEADER
        return app.run()

    return log_in


def test_in_production_the_claims_decide_what_somebody_sees(provider):
    app = provider(
        is_logged_in=True,
        email="Somebody@Example.test",
        name="Somebody",
        roles=["procurement_analyst", "unit:DE-SOUTH"],
    )
    assert not app.exception
    assert "Sees DE-SOUTH" in words_of(app)
    assert "finsync.as" not in [box.key for box in app.selectbox], (
        "nobody can be switched to, whatever the address says"
    )


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"is_logged_in": False}, "Log in"),
        ({"is_logged_in": True, "email": "a@b.test"}, "None of the application's roles"),
        ({"is_logged_in": True, "email": "a@b.test", "roles": ["auditor"]}, "No business unit"),
        ({"is_logged_in": True, "roles": ["auditor", "unit:*"]}, "e-mail address"),
        (
            {"is_logged_in": True, "email": "a@b.test", "email_verified": False, "roles": ["auditor", "unit:*"]},
            "has not been verified",
        ),
    ],
)
def test_in_production_a_missing_claim_denies_and_says_which(provider, claims, said):
    app = provider(**claims)
    assert not app.exception
    assert said.replace("-", "") in words_of(app).replace("\\", "").replace("-", "")
    assert not app.metric


def test_people_of_another_domain_are_not_let_in():
    with pytest.raises(MissingClaims, match="Only people of"):
        from_claims({"email": "a@evil.test", "roles": ["auditor", "unit:*"]}, domain="good.test")
    with pytest.raises(MissingClaims, match="Only people of"):
        from_claims({"email": "a@good.test", "hd": "evil.test", "roles": ["auditor", "unit:*"]}, domain="good.test")
    assert from_claims(
        {"email": "a@good.test", "hd": "good.test", "roles": ["auditor", "unit:A", "unit:B"]}, domain="good.test"
    ).units == ("A", "B")


def test_an_unknown_role_in_people_toml_is_told_with_its_place(tmp_path):
    from sync_engine.configuration import BadConfiguration

    entry = '[[people]]\nuser_id = "a"\nname = "A"\nroles = ["king"]\nunits = ["*"]\n'
    (tmp_path / "people.toml").write_text(entry)
    with pytest.raises(BadConfiguration, match=r"people\.0\.roles\.0.*king"):
        load_people(tmp_path)
    (tmp_path / "people.toml").write_text(entry.replace("king", "auditor") * 2)
    with pytest.raises(BadConfiguration, match="twice"):
        load_people(tmp_path)


def test_a_session_that_was_ended_is_opened_anew_with_the_rights_of_this_moment(own_world):
    app = own_world.look("exceptions", person=ANALYST)
    own_world.connection.execute("UPDATE app_user SET units = '{DE-NORTH}' WHERE user_id = %s", [ANALYST])
    app.run()
    assert "Sees DE-NORTH" in words_of(app)
    assert str(own_world.south[0]) not in words_of(app), "a change of rights holds from the next drawing"


# -- filters and addresses ---------------------------------------------------------------------------------------------------------


def test_what_an_address_asks_for_wrongly_is_said_and_left_out(world):
    app = world.look("exceptions", unit=["DE-SOUTH", "ATLANTIS"], category="<b>x</b>", code="no_such_code")
    [warning] = [element.value for element in app.warning if "does not exist" in element.value]
    assert "ATLANTIS" in warning
    assert "<b>" not in warning
    assert "2 exceptions" in words_of(app), "the rest of the filter holds"


@pytest.mark.parametrize(
    "query",
    [
        {"period": "1000y"},
        {"period": "custom", "since": "x", "until": "2026-01-01"},
        {"show": "passwords"},
        {"period": "custom", "since": "2026-09-01", "until": "2026-09-10"},
    ],
)
def test_no_address_breaks_the_overview(world, query):
    app = world.look("overview", person=LEADER, **query)
    assert not app.exception
    assert not app.error
    assert app.metric


def test_a_filter_that_is_chosen_stands_in_the_address_and_clear_clears_it(world):
    app = world.look("exceptions")
    app.multiselect(key="finsync.filter.unit").set_value(["DE-NORTH"]).run()
    assert app.query_params["unit"] == "DE-NORTH"
    assert "1 exception" in words_of(app)
    app.button(key="finsync.filters.clear").click().run()
    assert "unit" not in app.query_params
    assert "3 exceptions" in words_of(app)


def test_a_period_is_named_and_compared_with_the_one_before(world):
    from datetime import UTC, datetime, timedelta

    period = filters.Period(datetime(2026, 9, 1, tzinfo=UTC), datetime(2026, 9, 8, tzinfo=UTC), "last 7 days")
    assert period.before.until == period.since
    assert period.before.since == period.since - timedelta(days=7)


def test_the_past_that_is_being_produced_is_said(world):
    assert "day 13 of 90" in words_of(world.look("overview"))


# -- when something is away or empty -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_an_empty_database_says_what_to_do(empty_world, page):
    app = empty_world.look(page)
    assert not app.exception
    assert not app.error
    said = words_of(app)
    assert (
        "No documents have come in yet" in said
        or "Type any number" in said
        or "no data" in said.lower()
        or "nothing has been heard" in said
        or "No unresolved" in said
    )


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_where_nothing_has_been_heard_nothing_is_green(empty_world, page):
    """4.0: four empty states, never two at once; what is not known is not good news."""
    app = empty_world.look(page)
    assert not [element.value for element in app.success]


def test_a_database_that_is_away_is_said_and_looked_for_again(world, monkeypatch):
    for name in ("DATABASE_URL", "FINSYNC_APP_DATABASE_URL", "FINSYNC_GATE_DATABASE_URL"):
        monkeypatch.setenv(name, "postgresql://nobody@127.0.0.1:1/nothing")
    world_look = AppTest.from_string("from app import main\n\nmain()", default_timeout=30).run()
    assert not world_look.exception
    assert world_look.title[0].value == "The database does not answer"
    assert "comes back by itself" in words_of(world_look)


def test_a_database_without_our_schema_says_what_brings_it(world, monkeypatch):
    monkeypatch.setenv("FINSYNC_CELL", "nobody_made_this_cell")
    app = AppTest.from_string("from app import main\n\nmain()", default_timeout=30).run()
    assert not app.exception
    assert app.title[0].value == "This database has not been set up yet"
    assert "finsync migrate" in words_of(app)


def test_a_page_that_fails_says_a_reference_and_no_more(world, monkeypatch):
    from pages import overview

    monkeypatch.setattr(overview, "_answer", lambda facts: 1 / 0)
    app = world.look("overview", person=LEADER)
    assert not app.exception
    [error] = [element.value for element in app.error]
    assert re.search(r"reference \*\*[0-9a-f]{8}\*\*", error)
    assert "ZeroDivision" not in words_of(app)


def test_one_question_without_an_answer_leaves_the_rest_of_the_page_alive(world, monkeypatch):
    from sync_engine.insight.reports import TooSlow, service_levels

    def too_slow(*_args, **_kwargs):
        raise TooSlow("report_service_levels.now", "This took longer than 5 seconds and was stopped.")

    monkeypatch.setattr(service_levels, "service_levels", too_slow)
    app = world.look("overview", person=LEADER)
    assert "Objectives: no answer. This took longer" in words_of(app)
    assert len(app.metric) == 5


def test_a_stale_source_is_named_and_its_figures_turn_grey(world):
    said = words_of(world.look("overview", person=LEADER))
    assert "stale" in said
    assert "Source silent" in said


@pytest.mark.parametrize(("person", "offered"), [(ANALYST, 0), (OPERATIONS, 1)], ids=["one unit", "all units"])
def test_on_a_phone_filters_are_offered_where_there_is_something_to_filter_by(world, monkeypatch, person, offered):
    """Alerts have no filter but the units."""
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    app = world.look("alerts", person=person)
    assert not app.exception
    assert len([one for one in app.get("popover") if "Filters" in str(one.proto)]) == offered


def test_on_a_phone_the_table_becomes_cards_with_the_deciding_fields(world, monkeypatch):
    from pages import screen

    monkeypatch.setattr(screen, "is_narrow", lambda: True)
    app = world.look("exceptions")
    assert not app.exception
    assert not [frame for frame in app.dataframe if "Document" in frame.value.columns]
    said = words_of(app)
    assert "Cause: The cost centre is blocked" in said
    assert "Value (EUR): 200.00 EUR" in said
    assert len(app.checkbox) == 3


def test_the_auditor_sees_and_changes_nothing(world):
    case = str(world.case_of(world.south[0]))
    said = words_of(world.look("exceptions", person=AUDITOR, case=case))
    assert "The cost centre is blocked" in said
    assert "To reprocess documents takes the role" in said
    for button in ("Take it on", "Give it to them", "Keep the comment", "Reprocess 3"):
        assert button not in said


def test_the_names_of_lines_that_end_together_stand_apart():
    frame = pd.DataFrame(
        {"week": pd.to_datetime(["2026-01-05", "2026-01-12"]), "a": [10.0, 20.0], "b": [12.0, 20.1], "c": [1.0, 2.0]}
    )
    series = [charts.Line(name, name, charts.OK) for name in "abc"]
    drawn = charts.lines(frame, x="week", series=series, style=charts.LIGHT)
    shift = {note.text: note.yshift for note in drawn.layout.annotations}
    assert (shift["a"], shift["c"]) == (0, 0)
    assert 12 < shift["b"] <= charts.NAME_PX


def test_bars_of_equal_length_stand_in_the_order_they_come():
    """A share of "those above" that is counted down the rows was written on the wrong bars."""
    frame = pd.DataFrame({"why": ["few", "first", "second", "many"], "n": [1, 4, 4, 9], "said": ""})
    drawn = charts.bars(frame, label="why", value="n", text="said", hover="said", style=charts.LIGHT)
    assert list(drawn.data[0].y)[::-1] == ["many", "first", "second", "few"]


def test_a_name_is_not_moved_for_a_line_that_ends_elsewhere():
    """It left the chart at the top, where nobody could read it."""
    weeks = pd.to_datetime(["2026-01-05", "2026-01-12"])
    frame = pd.DataFrame({"week": weeks, "early": [100.0, None], "late": [90.0, 99.0]})
    series = [charts.Line(name, name, charts.OK) for name in ("early", "late")]
    drawn = charts.lines(frame, x="week", series=series, style=charts.LIGHT)
    assert [note.yshift for note in drawn.layout.annotations] == [0, 0]


def test_names_of_units_that_lie_together_are_written_on_different_sides():
    units = pd.DataFrame(
        {"n": [400, 401, 800], "share": [0.14, 0.145, 0.14], "unit": ["UK-MIDLANDS", "US-WEST", "DE-SOUTH"]}
    ).assign(said="", outside=False)
    limits = pd.DataFrame({"n": [10, 300, 600, 1000], "low_95": 0.1, "high_95": 0.2, "low_99": 0.05, "high_99": 0.25})
    drawn = charts_spread.funnel(
        units, n="n", share="share", label="unit", hover="said", apart="outside", limits=limits, common=0.14, style=charts.LIGHT
    )  # fmt: skip
    [marks] = [trace for trace in drawn.data if trace.mode == "markers+text"]
    assert marks.textposition[0] != marks.textposition[1]
    assert marks.textposition[2] == "top center"


@pytest.mark.parametrize(
    ("share", "side"),
    [(0.185, "bottom center"), (0.215, "top center"), (0.165, "top center"), (0.12, "bottom center")],
)
def test_a_name_in_the_funnel_is_written_away_from_the_lines(share, side):
    """Upon the 95 % line, the 99 % line or that of all units nobody could read it."""
    units = pd.DataFrame({"n": [500], "share": [share], "unit": ["UK-MIDLANDS"], "said": "", "outside": False})
    limits = pd.DataFrame({"n": [10, 300, 600, 1000], "low_95": 0.08, "high_95": 0.2, "low_99": 0.03, "high_99": 0.27})
    drawn = charts_spread.funnel(
        units, n="n", share="share", label="unit", hover="said", apart="outside", limits=limits, common=0.14, style=charts.LIGHT
    )  # fmt: skip
    [marks] = [trace for trace in drawn.data if trace.mode == "markers+text"]
    assert list(marks.textposition) == [side]


def test_a_name_that_has_no_side_without_a_line_still_covers_neither_a_name_nor_a_mark():
    units = pd.DataFrame({"n": [500, 502], "share": [0.14, 0.142], "unit": ["UK-MIDLANDS", "US-WEST"]}).assign(said="", outside=False)  # fmt: skip
    limits = pd.DataFrame({"n": [10, 1000], "low_99": 0.12, "low_95": 0.13, "high_95": 0.15, "high_99": 0.16})
    drawn = charts_spread.funnel(
        units, n="n", share="share", label="unit", hover="said", apart="outside", limits=limits, common=0.14, style=charts.LIGHT
    )  # fmt: skip
    [marks] = [trace for trace in drawn.data if trace.mode == "markers+text"]
    assert marks.textposition[0] != marks.textposition[1]


def test_a_line_that_ends_early_is_named_where_it_ends_and_one_without_a_point_not_at_all():
    """Where there is no value, plotly puts a name in the middle of nowhere."""
    weeks = pd.to_datetime(["2026-01-05", "2026-01-12", "2026-01-19"])
    frame = pd.DataFrame({"week": weeks, "early": [90.0, 80.0, None], "whole": [1.0, 2.0, 3.0], "none": [None] * 3})
    series = [charts.Line(name, name, charts.OK) for name in ("early", "whole", "none")]
    drawn = charts.lines(frame, x="week", series=series, style=charts.LIGHT)
    named = {note.text: (pd.Timestamp(note.x), note.y) for note in drawn.layout.annotations}
    assert named == {"early": (weeks[1], 80.0), "whole": (weeks[2], 3.0)}
