"""Webhooks as hints: who may send one, what counts as the same, and that nothing is acknowledged that is not stored
(R125; RELIABILITY 1 'Standard Webhooks', F3, F12)."""

import base64
import hashlib
import hmac
import time
from datetime import timedelta

import pytest
from psycopg import sql as compose

from sync_engine.api.hints import WINDOW_S
from sync_engine.engine.schedule import engine_jobs

SECRET = base64.b64encode(b"a secret of twenty-four bytes or more").decode()
OTHER = base64.b64encode(b"the one that will come after it......").decode()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("FINSYNC_COUPA_WEBHOOK_SECRET", f"whsec_{SECRET}")


def signed(body=b"{}", *, hint_id="msg_1", at=None, secret=SECRET):
    """The headers of a hint as its sender makes them."""
    at = int(time.time()) if at is None else at
    content = f"{hint_id}.{at}.".encode() + body
    signature = base64.b64encode(hmac.new(base64.b64decode(secret), content, hashlib.sha256).digest()).decode()
    return {"webhook-id": hint_id, "webhook-timestamp": str(at), "webhook-signature": f"v1,{signature}"}


def stored(connection):
    return connection.execute("SELECT system, hint_id FROM webhook_hint ORDER BY 1, 2").fetchall()


def test_a_signed_hint_is_stored_once_however_often_it_is_sent(client, connection):
    answers = [client.post("/hints/coupa", content=b"{}", headers=signed()) for _ in range(3)]
    assert [(answer.status_code, answer.json()["hint"]) for answer in answers] == [
        (202, "new"),
        (202, "known"),
        (202, "known"),
    ]
    assert stored(connection) == [("coupa", "msg_1")]


def test_the_signature_is_the_one_of_the_specification(client):
    """The example of the Standard Webhooks specification's own reference libraries: secret, id, time, body and signature."""
    from sync_engine.api.hints import is_signed

    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert is_signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, signature, [secret])
    assert not is_signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265331, body, signature, [secret])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda headers: headers.update({"webhook-signature": "v1,AAAA"}), id="another signature"),
        pytest.param(
            lambda headers: headers.update({"webhook-signature": "v1a," + headers["webhook-signature"][3:]}),
            id="another scheme",
        ),
        pytest.param(lambda headers: headers.update({"webhook-id": "msg_2"}), id="another id"),
        pytest.param(lambda headers: headers.update({"webhook-timestamp": "1614265330"}), id="another time"),
        pytest.param(lambda headers: headers.update(signed(b"{ }")), id="another body"),
        pytest.param(lambda headers: headers.update(signed(secret=OTHER)), id="another secret"),
        pytest.param(lambda headers: headers.update(signed(at=int(time.time()) - WINDOW_S - 5)), id="too late"),
        pytest.param(lambda headers: headers.update(signed(at=int(time.time()) + WINDOW_S + 5)), id="too early"),
    ],
)
def test_what_is_not_signed_by_the_system_now_is_refused_and_not_stored(client, connection, spoil):
    headers = signed()
    spoil(headers)
    answer = client.post("/hints/coupa", content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:finsync:problem:unsigned")
    assert stored(connection) == []


def test_without_a_secret_nothing_is_believed(client, monkeypatch):
    for value in ("", "whsec_", "not base64!"):
        monkeypatch.setenv("FINSYNC_COUPA_WEBHOOK_SECRET", value)
        empty = signed(secret="")
        assert client.post("/hints/coupa", content=b"{}", headers=empty).status_code == 401


def test_while_a_secret_is_changed_both_are_good(client, monkeypatch):
    monkeypatch.setenv("FINSYNC_COUPA_WEBHOOK_SECRET", f"whsec_{SECRET} whsec_{OTHER}")
    for number, secret in enumerate((SECRET, OTHER)):
        headers = signed(hint_id=f"msg_{number}", secret=secret)
        headers["webhook-signature"] = "v1,AAAA " + headers["webhook-signature"]
        assert client.post("/hints/coupa", content=b"{}", headers=headers).status_code == 202


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_hint_without_its_headers_is_unreadable(client, missing):
    headers = signed()
    del headers[missing]
    assert client.post("/hints/coupa", content=b"{}", headers=headers).status_code == 422


def test_a_system_nobody_has_configured_is_not_found(client):
    assert client.post("/hints/elsewhere", content=b"{}", headers=signed()).status_code == 404


def test_an_id_is_known_for_ever_and_belongs_to_its_sender(client, connection, database, monkeypatch):
    """The specification's five minutes of memory are too short for senders that repeat for days."""
    monkeypatch.setenv("FINSYNC_BASWARE_WEBHOOK_SECRET", f"whsec_{SECRET}")
    client.post("/hints/coupa", content=b"{}", headers=signed())
    with database.connect_owner() as owner:
        owner.execute(
            compose.SQL("UPDATE {} SET received_at = received_at - interval '1 year'").format(
                compose.Identifier(database.cell, "webhook_hint")
            )
        )
    assert client.post("/hints/coupa", content=b"{}", headers=signed()).json() == {"hint": "known"}
    assert client.post("/hints/basware", content=b"{}", headers=signed()).json() == {"hint": "new"}


def test_a_hint_lets_the_feeds_of_its_system_be_read_at_once(client, house):
    """Within the two seconds in which an engine looks for feeds that are due; other systems wait for their turn."""
    house.run(minutes=2)
    house.connection.execute("UPDATE feed_state SET due_at = clock_timestamp() + interval '1 hour'")
    client.post("/hints/coupa", content=b"{}", headers=signed())
    due = house.connection.execute(
        "SELECT DISTINCT system FROM feed_state WHERE due_at <= clock_timestamp()"
    ).fetchall()
    assert due == [("coupa",)]
    house.clock.advance_to(house.connection.execute("SELECT clock_timestamp()").fetchone()[0] + timedelta(seconds=1))
    [job] = [job for job in engine_jobs(house.engine) if job.id == "collect:coupa"]
    requisition = house.submit()
    job.work(house.connection)
    query = "SELECT count(*) FROM inbound_message WHERE kind = 'requisition' AND external_id = %s"
    assert house.connection.execute(query, [str(requisition)]).fetchone() == (1,)


def test_a_feed_that_is_failing_is_not_hurried(client, house):
    house.connection.execute(
        "UPDATE feed_state SET due_at = clock_timestamp() + interval '1 hour', consecutive_failures = 3"
    )
    client.post("/hints/coupa", content=b"{}", headers=signed())
    assert house.connection.execute("SELECT count(*) FROM feed_state WHERE due_at <= clock_timestamp()").fetchone() == (
        0,
    )


def test_what_cannot_be_stored_is_not_acknowledged(client, connection, database):
    """F12: 503, and the sender sends it again."""
    with database.connect_owner() as owner:
        table = compose.Identifier(database.cell, "webhook_hint")
        owner.execute(
            compose.SQL(
                "CREATE FUNCTION pg_temp.full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$"
            )
        )
        owner.execute(
            compose.SQL("CREATE TRIGGER full_disk BEFORE INSERT ON {} EXECUTE FUNCTION pg_temp.full_disk()").format(
                table
            )
        )
        answer = client.post("/hints/coupa", content=b"{}", headers=signed())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        owner.execute(compose.SQL("DROP TRIGGER full_disk ON {}").format(table))
    assert client.post("/hints/coupa", content=b"{}", headers=signed()).json() == {"hint": "new"}
    assert stored(connection) == [("coupa", "msg_1")]
