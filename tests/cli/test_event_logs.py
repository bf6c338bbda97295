"""Event logs from the command line: in, which, how long, out, forgotten (issue 4 section 1)."""

import json

import pytest
from typer.testing import CliRunner

from sync_engine.cli.commands import app
from sync_engine.insight import fold
from tests.conftest import migrated_cell

ROWS = "case,activity,timestamp\nA,Create Purchase Order,2026-03-01T08:00:00Z\nA,Pay invoice,2026-03-02T09:30:00.25Z\nB,Pay invoice,soon\n"
ROLLED_OF_THEIRS = "SELECT (SELECT count(*) FROM rolled_up WHERE source = 'theirs') + (SELECT count(*) FROM document_milestone WHERE source = 'theirs')"


@pytest.fixture
def database(server):
    """A cell of the database that the command line finds by itself."""
    return migrated_cell(server)


@pytest.fixture
def finsync(database, server):
    """The command line in the test's own cell; within this process, for a process of its own would load the program again each time."""
    settings = {
        "FINSYNC_HOME": str(server.data.parent.parent),
        "FINSYNC_CELL": database.cell,
        "DATABASE_URL": None,
        "COLUMNS": "200",
    }

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, [str(one) for one in arguments], env=settings)
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.mark.long
def test_a_log_comes_in_answers_goes_out_and_is_forgotten(finsync, tmp_path, connection, noon):
    log = tmp_path / "log.csv"
    log.write_text(ROWS, encoding="utf-8")
    done = finsync("import-log", log, "--source", "theirs").stdout
    assert "theirs: 2 events from log.csv (csv), 2 activities." in done
    assert "taken without being told: delimiter = ," in done
    assert "times without a zone were read as UTC" in done
    assert "more of it as an engine counts it" in done
    assert "1 records could not be read: `finsync logs --rejects theirs`" in done
    assert "line 4: the time in 'timestamp' cannot be read: 'soon'" in finsync("logs", "--rejects", "theirs").stdout

    told = json.loads(
        finsync("cycle-time", "--source", "theirs", "--per-case", "--calendar", "DE-SOUTH", "--json").stdout
    )
    assert told["cases"] == [
        {
            "case_id": "A",
            "first_event_at": "2026-03-01T08:00:00+00:00",
            "last_event_at": "2026-03-02T09:30:00.250000+00:00",
            "events": 2,
            "duration_s": 91800.25,
            "business_s": 9000.25,
        }
    ]
    assert (told["time_zone"], told["calendar"]) == ("UTC", "DE-SOUTH")
    [listed] = json.loads(finsync("logs", "--json").stdout)["logs"]
    assert (listed["name"], listed["events"], listed["documents"], listed["rejected"]) == ("theirs", 2, 1, 1)
    assert "theirs already; nothing was added" in finsync("import-log", log, "--source", "theirs").stdout

    finsync("export-log", tmp_path / "out.csv", "--source", "theirs", "--format", "csv")
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[0] == "case,activity,timestamp"
    assert (
        "--overwrite replaces it"
        in finsync("export-log", tmp_path / "out.csv", "--source", "theirs", "--format", "csv", code=2).stderr
    )
    fold.fold_all(connection, now=noon)
    assert connection.execute(ROLLED_OF_THEIRS).fetchone()[0] > 0
    assert "2 events" in finsync("forget-log", "theirs", "--reason", "a trial", "--yes").stdout
    assert "There is no log 'theirs'" in finsync("cycle-time", "--source", "theirs", code=2).stderr
    assert connection.execute(ROLLED_OF_THEIRS).fetchone() == (0,), "and no figure speaks of it any more"


def test_what_cannot_be_done_is_said_in_a_sentence(finsync, tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("case,activity,timestamp\nA,x,03/04/2026\n", encoding="utf-8")
    assert "--time-format day-first" in finsync("import-log", log, "--source", "theirs", code=2).stderr
    assert "our own log" in finsync("import-log", log, "--source", "finsync", code=2).stderr
    log.write_text(ROWS, encoding="utf-8")
    assert '"Pay invoice" = "paid"' in finsync("import-log", log, "--guess-mapping").stdout
