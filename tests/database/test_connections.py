"""Where the program connects to, and when either side gives the other up (F11, F13)."""

import psycopg
import pytest

from sync_engine.database.connections import Database, borrowed, dsn
from sync_engine.engine.lanes import LEASE_S


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("postgresql://u:p@a:5433,b:5434/d?target_session_attrs=read-write", "a,b", "5433,5434"),
        ("postgresql://u:p@a,b/d?target_session_attrs=read-write", "a,b", "5432,5432"),
        ("postgresql://u:p@[::1]:5433,[::2]/d?target_session_attrs=read-write", "::1,::2", "5433,5432"),
        ("postgresql://u:p@/d?host=a,b&port=1,2&target_session_attrs=read-write", "a,b", "1,2"),
    ],
)
def test_an_address_of_several_hosts_is_understood_as_libpq_does(address, host, port):
    """So that after a failover the engine finds the new primary by itself."""
    url = Database(address).url("finsync_engine")
    for said in (
        psycopg.conninfo.conninfo_to_dict(dsn(url)),
        {name: str(value) for name, value in url.get_dialect()().create_connect_args(url)[1].items()},
    ):
        assert (said["host"], said["port"], said["dbname"], said["user"]) == (host, port, "d", "u")
        assert said["target_session_attrs"] == "read-write"


def test_a_password_with_a_comma_is_no_second_host():
    url = Database("postgresql://u:a,b@one:5433/d").url("finsync_app")
    assert (url.host, url.port, url.password) == ("one", 5433, "a,b")


def test_a_server_that_is_gone_without_a_word_is_given_up_in_seconds_unless_the_address_says_otherwise():
    assert Database("postgresql://u@h/d").url("finsync_engine").query["connect_timeout"] == "5"
    own = Database("postgresql://u@h/d?connect_timeout=30").url("finsync_engine").query
    assert (own["connect_timeout"], own["tcp_user_timeout"]) == ("30", "20000")


def test_the_server_ends_an_engine_that_stands_still_in_a_transaction_within_its_lease(connection, database):
    """What is decided here is held by row locks, which know of no lease (F13)."""
    [(setting, unit)] = connection.execute(
        "SELECT setting::int, unit FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
    ).fetchall()
    assert unit == "ms"
    assert 0 < setting <= LEASE_S * 1000


def test_what_psycopg_is_told_is_what_the_pools_are_told(database):
    """The cell is the whole search path, whatever else the role's sessions are told."""
    with psycopg.connect(dsn(database.url("finsync_engine"))) as connection:
        assert connection.execute("SHOW search_path").fetchone() == (database.cell,)
        assert connection.execute("SHOW plan_cache_mode").fetchone() == ("force_generic_plan",)


def test_a_connection_that_comes_back_after_its_pool_is_disposed_of_is_closed(database):
    """A thread that is told to stop may be in the middle of a statement."""
    pool = database.engine("finsync_engine", pool_size=1)
    with borrowed(pool) as late:
        pool.dispose()
        assert not late.closed
    assert late.closed
    with borrowed(pool) as again:
        assert again.execute("SELECT 1").fetchone() == (1,)
    assert not again.closed
    pool.dispose()
    assert again.closed


def test_one_connection_is_closed_however_its_block_ends(database):
    with pytest.raises(ZeroDivisionError), database.connected("finsync_engine") as connection:
        raise ZeroDivisionError
    assert connection.closed
