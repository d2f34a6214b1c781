"""Whether a PostgreSQL database is well: the settings that keep jobs, and what holds the clean-up back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import text

from persistentq.insight import Check, Grade

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

OLDEST_VERSION = 130_000
LONG_TRANSACTION_S = 300.0
SHORT_TIMEOUT_MS = 10_000
MANY_DEAD, DEAD_SHARE = 100_000, 0.2
FULL_SHARE = 0.9

# What a session gets that says nothing, as the application's own do; `setting` is what our transaction has set.
SETTINGS = text(
    """
    SELECT name, reset_val FROM pg_settings WHERE name IN ('server_version', 'server_version_num', 'fsync',
        'full_page_writes', 'synchronous_commit', 'statement_timeout', 'autovacuum', 'max_connections')
    """
)
OLDEST_TRANSACTION = text(
    """
    SELECT pid, coalesce(nullif(application_name, ''), usename, 'unnamed'), state,
        extract(epoch FROM clock_timestamp() - xact_start)
    FROM pg_stat_activity
    WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
    ORDER BY xact_start LIMIT 1
    """
)
DEAD = text(
    """
    SELECT coalesce(sum(n_dead_tup), 0), coalesce(sum(n_live_tup), 0) FROM pg_stat_user_tables
    WHERE relname LIKE 'persistentq\\_%'
    """
)


def look_at(engine: Engine) -> Iterator[Check]:
    """Yield one check after the other."""
    with engine.connect() as connection:
        settings = {name: value or "" for name, value in connection.execute(SETTINGS)}
        settings["in use"] = connection.execute(text("SHOW synchronous_commit")).scalar_one()
        checks = [
            check_server(settings),
            check_disk_writes(settings),
            check_commit(settings),
            check_timeout(settings),
            check_transactions(connection),
            check_vacuum(connection, settings),
            check_connections(connection, settings),
        ]
    yield from checks


def check_server(settings: Mapping[str, str]) -> Check:
    """Say which server it is."""
    found = f"PostgreSQL {settings['server_version']}"
    if int(settings["server_version_num"]) < OLDEST_VERSION:
        return Check("server", Grade.WARN, found, "upgrade it: it gets no corrections any more")
    return Check("server", Grade.OK, found)


def check_disk_writes(settings: Mapping[str, str]) -> Check:
    """Say whether the server writes so that a power cut loses nothing."""
    off = [name for name in ("fsync", "full_page_writes") if settings[name] != "on"]
    if not off:
        return Check("durability", Grade.OK, "fsync and full_page_writes are on")
    remedy = "; ".join(f"ALTER SYSTEM SET {name} = on" for name in off) + "; SELECT pg_reload_conf()"
    return Check(
        "durability", Grade.FAIL, f"{' and '.join(off)} is off: a power cut may lose everything", remedy
    )


def check_commit(settings: Mapping[str, str]) -> Check:
    """Say whether a commit is on the disk when it is acknowledged, the queue's own and the application's."""
    ours, theirs = settings["in use"], settings["synchronous_commit"]
    if ours == "off":
        return Check("commit", Grade.FAIL, "synchronous_commit is off for the queue", "let nobody set it so")
    if theirs == "off":
        found = "synchronous_commit is off for sessions that do not set it: jobs enqueued with session= may be lost"
        return Check(
            "commit", Grade.WARN, found, "ALTER DATABASE … RESET synchronous_commit, and see the server's"
        )
    return Check(
        "commit", Grade.OK, f"synchronous_commit is {ours}, for sessions that do not set it {theirs}"
    )


def check_timeout(settings: Mapping[str, str]) -> Check:
    """Say whether the server would end the queue's longer statements."""
    limit = int(settings["statement_timeout"] or 0)
    if 0 < limit < SHORT_TIMEOUT_MS:
        found = f"statement_timeout is {limit} ms, which may end deletions and counts of many jobs"
        return Check(
            "timeouts", Grade.WARN, found, "raise it for the queue's user: ALTER ROLE … SET statement_timeout"
        )
    return Check(
        "timeouts", Grade.OK, f"statement_timeout is {limit} ms" if limit else "no statement_timeout is set"
    )


def check_transactions(connection: Connection) -> Check:
    """Say who has been in one transaction the longest: what was deleted since cannot be cleaned up."""
    row = connection.execute(OLDEST_TRANSACTION).first()
    if row is None:
        return Check("transactions", Grade.OK, "no other transaction is open")
    pid, name, state, seconds = row
    found = f"the longest transaction is {float(seconds):,.0f} s old: process {pid}, {name}, {state}"
    if seconds < LONG_TRANSACTION_S:
        return Check("transactions", Grade.OK, found)
    remedy = f"end it, for as long as it lasts every claim slows down: SELECT pg_terminate_backend({pid})"
    return Check("transactions", Grade.WARN, found, remedy)


def check_vacuum(connection: Connection, settings: Mapping[str, str]) -> Check:
    """Say whether rows that are dead are cleaned up."""
    dead, live = map(int, connection.execute(DEAD).one())
    found = f"autovacuum is {settings['autovacuum']}, {dead:,} dead rows beside {live:,}"
    if settings["autovacuum"] != "on":
        remedy = "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf()"
        return Check("autovacuum", Grade.FAIL, found, remedy)
    if dead > MANY_DEAD and dead > DEAD_SHARE * (dead + live):
        remedy = "VACUUM ANALYZE persistentq_jobs, persistentq_attempts; look for a long transaction first"
        return Check("autovacuum", Grade.WARN, found, remedy)
    return Check("autovacuum", Grade.OK, found)


def check_connections(connection: Connection, settings: Mapping[str, str]) -> Check:
    """Say how many of the server's connections are taken."""
    taken = connection.execute(
        text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
    ).scalar_one()
    most = int(settings["max_connections"])
    found = f"{taken} of {most} connections are taken"
    if taken < FULL_SHARE * most:
        return Check("connections", Grade.OK, found)
    remedy = "raise max_connections, or put a pooler between; see docs/postgresql.md"
    return Check("connections", Grade.WARN, found, remedy)
