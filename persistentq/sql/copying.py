"""Copying every table of a queue to another database, of whatever kind, and proving that the copy is the same.

Which tables there are, and in which order their foreign keys want them, is what the models say. Values go through the
models' types on both sides, and both sides are compared by the same sum of what Python read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Table, delete, func, insert, select

from persistentq.errors import StorageError
from persistentq.sql.journal_models import JournalRow
from persistentq.sql.models import SchemaRow

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from persistentq.sql.gates import Gates

TABLES: tuple[Table, ...] = tuple(
    table for table in JournalRow.metadata.sorted_tables if table.name != SchemaRow.__tablename__
)
"""All that a queue consists of; what they refer to comes first."""

NUMBERED: tuple[Table, ...] = tuple(table for table in TABLES if table.autoincrement_column is not None)
"""The tables that give their rows ids, which are never used again."""

BATCH_ROWS, BATCH_CHARS = 1000, 4_000_000
"""One transaction of the copy has no more rows than this, and ends with the row that brings it to so much text."""

FETCHED_ROWS = 50
"""So many rows are in this process's memory beside a batch: each may have a megabyte, and one of the trash several."""

_ENDLESS = 1 << 128

OnRows = Callable[[int], None]
Write = Callable[[Table, Sequence["Row[Any]"]], None]


class Tally(NamedTuple):
    """What a table holds: how many rows, and the sum of their digests, whatever their order.

    Not their digest in order: text is not sorted alike by all databases.
    """

    rows: int
    checksum: int

    def plus(self, rows: Sequence[Row[Any]]) -> Tally:
        """Return the tally with these rows."""
        checksum = sum(map(_digest, rows), self.checksum) % _ENDLESS
        return Tally(self.rows + len(rows), checksum)


NOTHING = Tally(0, 0)


def _digest(row: Row[Any]) -> int:
    text = repr(tuple(row)).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=16).digest())


def read_batches(connection: Connection, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """Yield the table's rows by key, in batches of bounded size."""
    by_key = select(table).order_by(*table.primary_key)
    batch: list[Row[Any]] = []
    size = 0
    with connection.execute(by_key, execution_options={"yield_per": FETCHED_ROWS}) as rows:
        for row in rows:
            batch.append(row)
            size += sum(len(value) for value in row if isinstance(value, str))
            if len(batch) == BATCH_ROWS or size >= BATCH_CHARS:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def write_batch(connection: Connection, table: Table, rows: Sequence[Row[Any]]) -> None:
    """Store rows that were read from the same table elsewhere."""
    names = table.columns.keys()
    connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])


def copy_tables(source: Connection, write: Write, on_rows: OnRows) -> dict[str, Tally]:
    """Copy all rows of one transaction's view to empty tables, and return what was read.

    Args:
        source: In a transaction that sees one state for as long as this takes.
        write: Stores a batch.
        on_rows: Called after each batch with the number of rows copied so far.
    """
    read: dict[str, Tally] = {}
    done = 0
    for table in TABLES:
        tally = NOTHING
        for batch in read_batches(source, table):
            write(table, batch)
            tally = tally.plus(batch)
            done += len(batch)
            on_rows(done)
        read[table.name] = tally
    return read


def check_copy(connection: Connection, location: str, read: Mapping[str, Tally], on_rows: OnRows) -> None:
    """Read the copy and compare it with what was read of the original.

    Raises:
        StorageError: a table differs.
    """
    done = 0
    for table in TABLES:
        found = NOTHING
        for batch in read_batches(connection, table):
            found = found.plus(batch)
            done += len(batch)
            on_rows(done)
        if found != (wanted := read[table.name]):
            what = "other rows" if found.rows == wanted.rows else f"{found.rows} rows of {wanted.rows}"
            raise StorageError(location, f"has {what} in {table.name}, so the copy is not taken")


def copy_numbers(source: Mapping[str, int], target: Connection, gates: Gates) -> None:
    """Let the copy's tables give ids that neither the original nor the copy has ever given."""
    for table in NUMBERED:
        highest: int = target.execute(select(func.max(table.c.id))).scalar() or 0
        if last := max(source[table.name], highest):
            gates.number_from(target, table, last)


def last_numbers(connection: Connection, gates: Gates) -> dict[str, int]:
    """Return the largest id that each table has ever given, by the table's name."""
    return {table.name: gates.last_number(connection, table) for table in NUMBERED}


def count_rows(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has."""
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in TABLES
    }


def empty_tables(connection: Connection) -> None:
    """Delete every row."""
    for table in reversed(TABLES):
        connection.execute(delete(table))


def first_filled(connection: Connection) -> str | None:
    """Return the name of a table that has rows; None if all are empty."""
    for table in TABLES:
        if connection.execute(select(*table.primary_key).limit(1)).first() is not None:
            return table.name
    return None
