"""SQLite's gates: triggers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import text

from persistentq.sql.gates import IS_CLAIM, Gates, is_moving, refusal
from persistentq.sql.models import JobRow

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

NO_CLAIMS = "persistentq_no_claims"


class SQLiteGates(Gates):
    """Triggers that pass over a claimed row, or refuse a changed one."""

    def hold(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Nothing to do: BEGIN IMMEDIATE did it."""

    def stop_claims(self, connection: Connection) -> None:
        # IGNORE passes over the row: the claim changes nothing and returns nothing.
        connection.exec_driver_sql(
            f"CREATE TRIGGER IF NOT EXISTS {NO_CLAIMS} BEFORE UPDATE OF status ON {JobRow.__tablename__}"
            f" WHEN {IS_CLAIM} AND {is_moving(connection)} BEGIN SELECT RAISE(IGNORE); END"
        )

    def allow_claims(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {NO_CLAIMS}")

    def close(self, connection: Connection, tables: Sequence[Table], target: str) -> None:
        for table in tables:
            for verb in ("INSERT", "UPDATE", "DELETE"):
                connection.exec_driver_sql(
                    f"CREATE TRIGGER {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name}"
                    f" BEGIN SELECT RAISE(ABORT, {refusal(target)}); END"
                )

    def last_number(self, connection: Connection, table: Table) -> int:
        given = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return connection.execute(given, {"name": table.name}).scalar() or 0

    def number_from(self, connection: Connection, table: Table, last: int) -> None:
        values = {"name": table.name, "last": last}
        changed = connection.execute(
            text("UPDATE sqlite_sequence SET seq = :last WHERE name = :name"), values
        )
        if not changed.rowcount:
            connection.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), values)
