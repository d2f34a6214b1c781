"""Jobs in Parquet files, row group after row group, so that no file has to fit into memory.

Importing this module raises `ExtraMissing` where pyarrow is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from persistentq.errors import ExtraMissing, InvalidArgument
from persistentq.operations.formats import NUMBERS, STRUCTURED, Row, Write
from persistentq.operations.records import COLUMNS, Record
from persistentq.text import to_json

try:
    import pyarrow  # type: ignore[import-untyped] # it has none
    from pyarrow import parquet
except ImportError:
    raise ExtraMissing("Parquet files", "pyarrow", "ops") from None

GROUP_ROWS, GROUP_BYTES = 20_000, 32 * 1024 * 1024
"""A row group ends with so many rows, or with so much text, whichever comes first."""

READ_AT_ONCE = 500


@contextmanager
def writing_parquet(file: BinaryIO) -> Iterator[Write]:
    """Give what writes records to `file`: numbers, times and flags as such, structured values as JSON."""
    held: list[Record] = []
    size = 0

    def flush() -> None:
        nonlocal size
        writer.write_table(pyarrow.Table.from_pylist(held, schema=schema))
        held.clear()
        size = 0

    def write(records: Sequence[Record]) -> None:
        nonlocal size
        for record in records:
            row = {name: _stored(name, value) for name, value in record.items()}
            held.append(row)
            size += sum(len(value) for value in row.values() if isinstance(value, str))
            if len(held) == GROUP_ROWS or size > GROUP_BYTES:
                flush()

    schema = pyarrow.schema([(name, _type(name)) for name in COLUMNS])
    with parquet.ParquetWriter(file, schema) as writer:
        yield write
        if held:
            flush()


def _type(name: str) -> Any:
    if name in NUMBERS:
        return pyarrow.int64()
    if name == "cancel_requested":
        return pyarrow.bool_()
    return pyarrow.timestamp("us", "UTC") if _is_time(name) else pyarrow.string()


def _is_time(name: str) -> bool:
    return name.endswith("_at") or name == "lease_until"


def _stored(name: str, value: Any) -> Any:
    if value is None or name == "cancel_requested":
        return value
    if name in STRUCTURED:
        return to_json(value)
    return datetime.fromisoformat(value) if _is_time(name) else value


def read_parquet(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, in their order; one that cannot be read has a problem.

    Raises:
        InvalidArgument: it is no Parquet file.
    """
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(READ_AT_ONCE):
                for record in batch.to_pylist():
                    number += 1
                    yield _row(f"row {number}", record)
    except pyarrow.ArrowException as error:
        raise InvalidArgument("file", str(path), f"is no Parquet file that can be read: {error}") from None


def _row(place: str, stored: Record) -> Row:
    record = {}
    for name, value in stored.items():
        try:
            record[name] = json.loads(value) if name in STRUCTURED and isinstance(value, str) else value
        except (ValueError, RecursionError) as error:
            return Row(place, {}, InvalidArgument(f"{place}: {name}", value, f"is not JSON: {error}"))
    return Row(place, record)
