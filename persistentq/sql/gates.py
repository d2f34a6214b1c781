"""What closes a database while its queue is moved elsewhere, as facts that differ between databases.

All of it is made when a queue is moved, and nothing of it is there before: a queue that stays pays nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Select, literal_column, select, type_coerce

from persistentq.sql.dialect import MOVED_TO
from persistentq.sql.models import MICROSECOND, SchemaRow, database_now
from persistentq.sql.schema import Standing

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

CLAIMS_STOPPED = timedelta(seconds=10)
"""So long after its last sign a mover's word holds that nobody may claim: one that is killed stops nobody for long."""

IS_CLAIM = "NEW.status = 'processing' AND OLD.status <> 'processing'"


class Gates(ABC):
    """Gates of one kind of database; each is shut, or opened, when the caller's transaction commits."""

    @abstractmethod
    def hold(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Let nobody else write to these tables until the transaction ends, and wait for those who do."""

    @abstractmethod
    def stop_claims(self, connection: Connection) -> None:
        """Let every claim find nothing while the mover gives signs; all else goes on. May be repeated."""

    @abstractmethod
    def allow_claims(self, connection: Connection) -> None:
        """Undo `stop_claims`. May be repeated."""

    @abstractmethod
    def close(self, connection: Connection, tables: Sequence[Table], target: str) -> None:
        """Refuse every change of these tables for good, by an error that says where the queue has moved."""

    @abstractmethod
    def last_number(self, connection: Connection, table: Table) -> int:
        """Return the largest id that the table has ever given; 0 if none."""

    @abstractmethod
    def number_from(self, connection: Connection, table: Table, last: int) -> None:
        """Let the table give only ids above `last`, 1 or more."""


def is_moving(connection: Connection) -> str:
    """Return the SQL condition that the queue is being moved by somebody who gave a sign lately."""
    lately = database_now() - CLAIMS_STOPPED // MICROSECOND
    moving: Select[Any] = select(literal_column("1")).where(
        SchemaRow.standing == Standing.MOVING.value, type_coerce(SchemaRow.seen_at, BigInteger) > lately
    )
    return str(moving.exists().compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))


def refusal(target: str) -> str:
    """Return, as a SQL literal, the error that refuses a change."""
    text = (MOVED_TO + target).replace("'", "''")
    return f"'{text}'"
