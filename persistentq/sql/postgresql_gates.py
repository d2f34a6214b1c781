"""PostgreSQL's gates: table locks and triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import text

from persistentq.sql.gates import IS_CLAIM, Gates, is_moving, refusal
from persistentq.sql.models import JobRow

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

NO_CLAIMS, NO_CHANGES = "persistentq_no_claims", "persistentq_no_changes"
NUMBERS = "SELECT pg_get_serial_sequence(:name, 'id')"


class PostgreSQLGates(Gates):
    """Triggers that pass over a claimed row, or refuse a statement that changes any."""

    def hold(self, connection: Connection, tables: Sequence[Table]) -> None:
        # Our readers go on. What else would be waited for is a transaction of somebody else's, up to the lock timeout.
        names = ", ".join(table.name for table in tables)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")

    def stop_claims(self, connection: Connection) -> None:
        self.allow_claims(connection)
        # Without a row to return, the claim changes nothing and returns nothing.
        connection.exec_driver_sql(
            f"CREATE FUNCTION {NO_CLAIMS}() RETURNS trigger LANGUAGE plpgsql AS $$"
            f" BEGIN IF {is_moving(connection)} THEN RETURN NULL; END IF; RETURN NEW; END $$"
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER {NO_CLAIMS} BEFORE UPDATE OF status ON {JobRow.__tablename__}"
            f" FOR EACH ROW WHEN ({IS_CLAIM}) EXECUTE FUNCTION {NO_CLAIMS}()"
        )

    def allow_claims(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {NO_CLAIMS}() CASCADE")

    def close(self, connection: Connection, tables: Sequence[Table], target: str) -> None:
        # The driver takes a % for a place to bind a value.
        connection.exec_driver_sql(
            f"CREATE FUNCTION {NO_CHANGES}() RETURNS trigger LANGUAGE plpgsql AS $body$"
            f" BEGIN RAISE EXCEPTION USING MESSAGE = {refusal(target).replace('%', '%%')}; END $body$"
        )
        for table in tables:
            connection.exec_driver_sql(
                f"CREATE TRIGGER {NO_CHANGES} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table.name}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {NO_CHANGES}()"
            )

    def last_number(self, connection: Connection, table: Table) -> int:
        # It is NULL if the sequence was never asked.
        given = text(f"SELECT pg_sequence_last_value(({NUMBERS})::regclass)")
        return connection.execute(given, {"name": table.name}).scalar() or 0

    def number_from(self, connection: Connection, table: Table, last: int) -> None:
        connection.execute(text(f"SELECT setval(({NUMBERS}), :last)"), {"name": table.name, "last": last})
