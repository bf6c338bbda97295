"""The benchmark of imports measures what it says."""

import pytest

from benchmarks.importing import run


@pytest.mark.long
def test_a_small_run_answers_every_figure(database):
    said = []
    figures = run(database, events=600, progress=said.append)
    rates = {name: value for name, value in figures.items() if name.endswith("_per_s")}
    assert {name for name in rates if name.endswith("_in_per_s")} == {
        "csv_in_per_s",
        "xes_in_per_s",
        "ocel2-json_in_per_s",
        "ocel2-xml_in_per_s",
        "ocel2-sqlite_in_per_s",
    }
    assert len(rates) == 11
    assert all(rate > 0 for rate in rates.values())
    assert all(
        20 < figures[f"{kind}_peak_mb"] < 400 for kind in ("csv", "xes", "ocel2-json", "ocel2-xml", "ocel2-sqlite")
    )
    assert figures["machine"]["cores"] >= 1
