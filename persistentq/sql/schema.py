"""Making the tables, upgrading those of an older version, and refusing the rest."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from threading import Lock

from sqlalchemy import Connection, Engine, insert, inspect, select

from persistentq.errors import DatabaseMissing, QueueIncomplete, QueueMoved, SchemaMismatch, StorageError
from persistentq.sql.dialect import READONLY, DialectFacts
from persistentq.sql.journal_models import JournalRow
from persistentq.sql.models import SchemaRow

VERSION = "0001"
"""The newest revision: what the models say. Revisions count upwards in four digits, so that they compare as text."""

MIGRATIONS = Path(__file__).with_name("migrations")


class Standing(StrEnum):
    """Where a queue stands that is not simply live.

    MOVING: on its way elsewhere, and live until it has arrived. MOVED: it is elsewhere now. INCOMPLETE: a copy of a
    queue that is live elsewhere.
    """

    MOVING = "moving"
    MOVED = "moved"
    INCOMPLETE = "incomplete"


# A revision's `op` is one for the whole process.
_one_upgrade_at_a_time = Lock()


def ensure_schema(
    engine: Engine, facts: DialectFacts, location: str, *, create: bool, upgrade: bool = False
) -> str | None:
    """Make the tables if there are none, and upgrade older ones; any number of processes may do so at once.

    Args:
        create: Whether to make them.
        upgrade: Whether to upgrade them on a server, too. In a file, whoever opens it does.

    Returns:
        The version that was found at first; None if there were no tables.

    Raises:
        DatabaseMissing: there are none, and `create` is false.
        SchemaMismatch: they are newer than this code, or older on a server.
        QueueMoved, QueueIncomplete: the queue is live elsewhere.
    """
    with engine.execution_options(**{READONLY: True}).connect() as connection:
        first = found = version_of(connection)
        if found == VERSION:
            _refuse_what_is_elsewhere(connection, location)
    if found is None and not create:
        raise DatabaseMissing(location)
    if found is None or (found < VERSION and (upgrade or facts.is_local)):
        with facts.schema_change(engine) as connection:
            bring_up(connection, location)
            found = version_of(connection)
    if found != VERSION:
        raise SchemaMismatch(location, str(found), VERSION)
    return first


def _refuse_what_is_elsewhere(connection: Connection, location: str) -> None:
    standing, other = connection.execute(select(SchemaRow.standing, SchemaRow.other)).one()
    if standing == Standing.MOVED:
        raise QueueMoved(location, other or "")
    if standing == Standing.INCOMPLETE:
        raise QueueIncomplete(location, other or "")


def bring_up(connection: Connection, location: str) -> None:
    """Create or upgrade the tables, unless another process has done so since they were looked at."""
    found = version_of(connection)
    if found is None:
        JournalRow.metadata.create_all(connection)
        connection.execute(insert(SchemaRow).values(version_num=VERSION))
    elif found < VERSION:
        run_revisions(connection, location, found)


def run_revisions(connection: Connection, location: str, found: str) -> None:
    """Run every revision after `found` in the connection's transaction.

    Raises:
        StorageError: no revision of ours is called `found`.
    """
    # Loading Alembic takes a tenth of a second, which no other start should pay.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(attributes={"connection": connection, "version_table": SchemaRow.__tablename__})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with _one_upgrade_at_a_time:
            command.upgrade(config, VERSION)
    except CommandError as error:
        raise StorageError(location, f"has schema {found!r}, which cannot be upgraded: {error}") from error


def version_of(connection: Connection) -> str | None:
    """Return the version of the tables; None if there are none."""
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return None
    return connection.execute(select(SchemaRow.version_num)).scalar_one_or_none()
