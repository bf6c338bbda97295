"""The API as a service: who may ask, what it says when it cannot answer, and that it speaks no vendor's words."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx2
import psycopg
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from config import FOLDER
from sync_engine.api.guards import BODY_BYTES_MAX
from sync_engine.api.metrics import FIGURES, KEEP_S, Metrics
from sync_engine.api.service import make_api, make_pool
from sync_engine.configuration import load_systems
from sync_engine.database.connections import Database
from sync_engine.database.migrate import migrate
from tests.conftest import migrated_cell

ROOT = Path(__file__).parents[2]
VENDORS = {
    "sap",
    "s4",
    "s4hana",
    "hana",
    "coupa",
    "servicenow",
    "snow",
    "basware",
    "oracle",
    "ariba",
    "netsuite",
    "workday",
    "dynamics",
    "ebs",
    "jde",
    "fiori",
    "bapi",
    "idoc",
    "odata",
}
PROTECTED = ["/v1/invoices/1/status", "/v1/documents/invoice/1", "/v1/events"]


def is_problem(answered, status):
    assert answered.status_code == status, answered.text
    assert answered.headers["content-type"] == "application/problem+json"
    problem = answered.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:finsync:problem:")
    assert problem["detail"]
    assert problem["next_step"]
    return problem


def test_nobody_is_answered_without_a_token_that_is_known(client):
    for path in PROTECTED:
        for value in ("", "Bearer nobody", "Bearer ", "Basic dTpw"):
            answered = client.get(path, headers={"authorization": value} if value else {})
            assert "token" in is_problem(answered, 401)["next_step"]
            assert answered.headers["www-authenticate"].startswith("Bearer")


def test_an_expired_token_and_a_disabled_person_are_refused_at_once(client, bearer, database):
    headers = bearer("DE-SOUTH")
    assert client.get("/v1/events", headers=headers).status_code == 200
    with database.connect_owner() as owner:
        owner.execute(f"UPDATE {database.cell}.app_session SET expires_at = clock_timestamp()")
    is_problem(client.get("/v1/events", headers=headers), 401)
    headers = bearer("DE-SOUTH")
    with database.connect_owner() as owner:
        owner.execute(f"UPDATE {database.cell}.app_user SET is_active = false")
    is_problem(client.get("/v1/events", headers=headers), 401)


def test_a_body_larger_than_any_document_is_refused(client, bearer):
    for body in (b"x" * (BODY_BYTES_MAX + 1), iter([b"x" * 600_000] * 2)):
        is_problem(client.post("/v1/requisitions/validate", content=body, headers=bearer()), 413)


def test_a_body_that_is_not_json_is_told_so(client, bearer):
    answered = client.post(
        "/v1/requisitions/validate", content=b"{not json", headers={**bearer(), "content-type": "application/json"}
    )
    assert is_problem(answered, 400)["detail"] == "The body is not JSON."


def test_paths_and_methods_that_are_not_there_are_problems_too(client):
    is_problem(client.get("/v1/nothing"), 404)
    is_problem(client.post("/v1/events"), 405)


def test_a_bug_is_answered_without_a_word_of_the_inside(client, bearer, monkeypatch):
    def broken(*_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr("sync_engine.api.invoices.find_one", broken)
    headers = bearer()
    with capture_logs() as logged:
        answered = client.get("/v1/invoices/1/status", headers=headers)
    assert "secret" not in json.dumps(is_problem(answered, 500))
    assert "secret inside" in logged[0]["error"], "whoever looks after it can read it"


def test_every_answer_carries_security_headers(client):
    for answered in (client.get("/health"), client.get("/v1/nothing"), client.get("/v1/events")):
        assert answered.headers["x-content-type-options"] == "nosniff"
        assert answered.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answered.headers["content-security-policy"]


def test_the_schema_names_no_vendor_anywhere(client):
    schema = client.get("/v1/openapi.json").json()
    words = {
        word.lower() for word in re.findall(r"[A-Za-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", json.dumps(schema)))
    }
    assert not words & VENDORS
    assert {"getInvoiceStatus", "validateRequisition", "listEvents", "getPurchaseOrder"} <= {
        operation.get("operationId") for path in schema["paths"].values() for operation in path.values()
    }
    assert "Requisition" in json.dumps(schema["paths"]["/v1/requisitions/validate"]["post"]["requestBody"]), (
        "the body is the model's own class"
    )


def test_every_operation_says_which_problems_it_has(client):
    schema = client.get("/v1/openapi.json").json()
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            if path.startswith("/v1/"):
                assert operation["security"], path
                assert "application/problem+json" in operation["responses"]["401"]["content"], path


def test_the_process_is_alive_whatever_the_database_does(client):
    assert client.get("/health").json() == {"status": "alive"}


def test_ready_needs_an_engine_that_was_heard_of(client, connection):
    answered = client.get("/ready")
    assert (answered.status_code, answered.json()["reasons"]) == (
        503,
        ["No engine is at work; start one with finsync engine."],
    )
    connection.execute(
        "INSERT INTO engine_instance (engine_id, started_at, last_seen_at, release) VALUES ('e', now(), now() - interval '2 minutes', '1')"
    )
    assert "No engine was heard of for 12" in client.get("/ready").json()["reasons"][0]
    connection.execute("UPDATE engine_instance SET last_seen_at = clock_timestamp()")
    answered = client.get("/ready")
    assert (answered.status_code, answered.json()) == (200, {"status": "ready", "reasons": []})
    connection.execute("UPDATE engine_instance SET stopped_at = clock_timestamp()")
    assert client.get("/ready").status_code == 503


def test_ready_names_what_the_schema_lacks(client, database):
    with database.connect_owner() as owner:
        owner.execute(f"DELETE FROM {database.cell}.schema_migration WHERE name LIKE '0004%'")
    assert client.get("/ready").json()["reasons"] == ["The schema lacks 0004_access.sql; run finsync migrate."]


def test_without_a_database_it_says_so_and_when_to_come_back(configuration):
    away = Database("postgresql://nobody@127.0.0.1:1/none")
    pool = make_pool(away)
    with TestClient(make_api(away, pool, configuration, load_systems(FOLDER)), raise_server_exceptions=False) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ready").json() == {"status": "not ready", "reasons": ["The database does not answer."]}
        answered = client.get("/v1/events", headers={"authorization": "Bearer x"})
        is_problem(answered, 503)
        assert answered.headers["retry-after"] == "5"
        assert client.get("/metrics").status_code == 503
    pool.dispose()


def test_metrics_tell_of_the_machinery_and_of_no_document(house, client):
    house.submit()
    house.submit(house.line(cost_centre="9999"))
    house.run(minutes=4)
    now = house.clock.now()
    house.connection.execute(  # the figures go by the database's time, the house by its own
        "INSERT INTO produced_past (seed, begins_at, ends_at, reached_at) VALUES (1, %s, %s, %s)",
        [now - timedelta(days=1), now + timedelta(days=1), now],
    )
    answered = client.get("/metrics")
    assert answered.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answered.text.splitlines() if not line.startswith("#"))
    assert lines['finsync_exceptions_open{category="master_data"}'] == "1.0"
    assert lines['finsync_exceptions_open{category="external_outage"}'] == "0.0"
    assert lines['finsync_breaker_open{system="coupa"}'] == "0.0"
    assert 'finsync_work_due{lane="finsync"}' in lines
    assert "finsync_messages_unsettled" in lines
    assert any(line.startswith("finsync_attempts_5m{") for line in lines)
    assert any(line.startswith("finsync_feed_age_seconds{") for line in lines)
    for told in ("planner", "4711", "DE-SOUTH", "Nordwerk"):
        assert told not in answered.text
    told = {line.split()[2] for line in answered.text.splitlines() if line.startswith("# HELP")}
    assert told == {name for name, _, _ in FIGURES.values()}


def test_metrics_ask_the_database_once_in_a_few_seconds_however_many_monitors_there_are():
    asked, now = [], [0.0]
    metrics = Metrics(lambda: asked.append(1) or [], timer=lambda: now[0])
    for _ in range(10):
        metrics.text()
    assert len(asked) == 1
    now[0] = KEEP_S
    metrics.text()
    assert len(asked) == 2


def test_the_figures_are_there_for_an_owner_who_is_no_superuser_and_row_security_still_binds_them(server):
    """Row level security is forced on the owner: without its mark the owner sees nothing, with the function's it counts."""
    with psycopg.connect(server.url(), autocommit=True) as root:
        root.execute("CREATE ROLE plain_owner LOGIN CREATEROLE")
        root.execute("CREATE DATABASE owned OWNER plain_owner")
    with psycopg.connect(server.url(user="plain_owner", database="owned"), autocommit=True) as owner:
        migrate(owner, cell="plain", release="test")
        owner.execute("CREATE POLICY test_writes ON exception_case FOR INSERT TO CURRENT_USER WITH CHECK (true)")
        owner.execute(
            "INSERT INTO exception_case (case_id, system, category, code, origin, retryable, fingerprint, message, status, blocks, owner_team, raised_at, last_seen_at)"
            " VALUES (gen_random_uuid(), 'finsync', 'policy', 'budget_exceeded', 'person', 'after_fix', 'x', 'x', 'open', true, 'x', now(), now())"
        )
        assert owner.execute("SELECT count(*) FROM exception_case").fetchone() == (0,)
        assert owner.execute(
            "SELECT value FROM operating_figures() WHERE figure = 'exceptions_open' AND about = 'policy'"
        ).fetchone() == (1.0,)
        assert owner.execute("SELECT count(*) FROM exception_case").fetchone() == (0,), (
            "the mark ends with the function"
        )


def test_the_mark_of_our_own_functions_opens_nothing_to_the_application(house, database):
    house.submit()
    house.run(minutes=10)
    app = database.engine("finsync_app", pool_size=1)
    with app.connect() as connection:
        connection.exec_driver_sql("SET finsync.own_function = 'on'")
        assert connection.exec_driver_sql("SELECT count(*) FROM document").scalar() == 0
        assert (
            connection.exec_driver_sql("SELECT count(*) FROM supplier_standing('coupa', ARRAY['1', '2'])").scalar() == 0
        )
    app.dispose()


def test_the_token_command_prints_one_that_opens_the_api_for_somebody_known(server, monkeypatch, configuration):
    from typer.testing import CliRunner

    from sync_engine.cli.commands import app

    database = migrated_cell(server)
    monkeypatch.setenv("FINSYNC_CELL", database.cell)
    monkeypatch.setenv("FINSYNC_HOME", str(server.data.parent.parent))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    runner = CliRunner()
    assert runner.invoke(app, ["migrate"]).exit_code == 0
    assert runner.invoke(app, ["token", "nobody@demo.test"]).exit_code == 2
    printed = runner.invoke(app, ["token", "auditor@demo.test", "--hours", "1"])
    assert printed.exit_code == 0, printed.output
    pool = make_pool(database)
    with TestClient(make_api(database, pool, configuration, load_systems(FOLDER))) as client:
        assert (
            client.get("/v1/events", headers={"authorization": f"Bearer {printed.output.strip()}"}).status_code == 200
        )
    pool.dispose()


def test_the_process_serves_on_its_port_until_it_is_told_to_stop_and_then_ends_in_good_order(server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = migrated_cell(server)
    settings = {
        "FINSYNC_HOME": str(server.data.parent.parent),
        "FINSYNC_CELL": database.cell,
        "FINSYNC_API_PORT": str(port),
    }
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("FINSYNC_") and name != "DATABASE_URL"
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "sync_engine.cli", "api"],
        cwd=ROOT,
        env={**inherited, **settings},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
            for _ in range(900):
                with suppress(httpx2.TransportError):
                    assert http.get("/health").json() == {"status": "alive"}
                    break
                time.sleep(0.1)
            answered = http.get("/v1/events")
            is_problem(answered, 401)
            assert "server" not in answered.headers
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert "api stopped" in said
    assert "Traceback" not in said
