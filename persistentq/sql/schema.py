"""Making the tables, and refusing those of another version."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, insert, inspect, select

from persistentq.errors import DatabaseMissing, SchemaMismatch
from persistentq.sql.dialect import READONLY, DialectFacts
from persistentq.sql.models import Base, SchemaRow

VERSION = "0001"


def ensure_schema(engine: Engine, facts: DialectFacts, location: str, *, create: bool) -> None:
    """Make the tables if there are none and `create` is true; any number of processes may do so at once.

    Raises:
        DatabaseMissing: there are none, and `create` is false.
        SchemaMismatch: they are of another version.
    """
    with engine.execution_options(**{READONLY: True}).connect() as connection:
        found = _version(connection)
    if found is None and create:
        with engine.begin() as connection:
            facts.lock_schema(connection)
            # Another process may have made them since the first look.
            found = _version(connection)
            if found is None:
                Base.metadata.create_all(connection)
                connection.execute(insert(SchemaRow).values(version_num=VERSION))
                found = VERSION
    if found is None:
        raise DatabaseMissing(location)
    if found != VERSION:
        raise SchemaMismatch(location, found, VERSION)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(SchemaRow.__tablename__):
        return None
    return connection.execute(select(SchemaRow.version_num)).scalar_one_or_none()
