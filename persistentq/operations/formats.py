"""Jobs in files: JSON Lines and CSV, written and read back. Parquet is in `parquet`, loaded where it is asked for.

Text in a CSV file is escaped as in every output, and text that a spreadsheet would run as a formula has an apostrophe
before it; reading undoes both, and nothing else.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from persistentq.errors import InvalidArgument
from persistentq.operations.records import COLUMNS, Record
from persistentq.text import escaped, to_json, unescaped

LONGEST_LINE = 16 * 1024 * 1024
"""No line or cell of a file is longer, in bytes or characters: a job's arguments and metadata are a mebibyte each."""

NUMBERS = frozenset({"id", "priority", "attempt", "max_attempts"})
STRUCTURED = frozenset({"args", "tags", "metadata", "backoff", "result", "cancel_requested"})
"""The values that stand in a cell as JSON; all others are text."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")

Write = Callable[[Sequence[Record]], None]


class Format(StrEnum):
    """What a file of jobs is written in."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


class Row(NamedTuple):
    """One job of a file: where it stands, and its values by name or what is wrong with it."""

    place: str
    record: Record
    problem: InvalidArgument | None = None


def format_of(path: Path) -> Format:
    """Return the format that a file's name ends with; JSON Lines if it says nothing."""
    suffix = path.suffix.lower().removeprefix(".")
    return Format(suffix) if suffix in set(Format) else Format.JSONL


@contextmanager
def writing(form: Format, file: BinaryIO) -> Iterator[Write]:
    """Give what writes records to `file`, some at a time; what it holds back is written at the end.

    Raises:
        ExtraMissing: the format needs a package that is not installed.
    """
    if form is Format.PARQUET:
        from persistentq.operations.parquet import writing_parquet

        with writing_parquet(file) as write:
            yield write
        return
    text = TextIOWrapper(file, "utf-8", newline="")
    try:
        yield _csv_writer(text) if form is Format.CSV else partial(_write_jsonl, text)
    finally:
        # The file is its owner's, to be flushed and closed by them.
        text.detach()


def _write_jsonl(text: TextIO, records: Sequence[Record]) -> None:
    text.writelines(to_json(record) + "\n" for record in records)


def _csv_writer(text: TextIO) -> Write:
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    return lambda records: lines.writerows([csv_cell(one) for one in record.values()] for record in records)


def csv_cell(value: Any) -> str:
    """Return a value as a cell that a spreadsheet only shows: an apostrophe keeps text from being a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return to_json(value)
    text = escaped(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _text_of(cell: str) -> str:
    return unescaped(cell[1:] if _GUARDED.match(cell) else cell)


def reading(form: Format, path: Path) -> Iterator[Row]:
    """Yield the rows of a file, in their order; one that cannot be read has a problem.

    Raises:
        InvalidArgument: the file as a whole is not in this format.
        ExtraMissing: the format needs a package that is not installed.
        OSError: it cannot be read.
    """
    match form:
        case Format.JSONL:
            return _read_jsonl(path)
        case Format.CSV:
            return _read_csv(path)
    from persistentq.operations.parquet import read_parquet

    return read_parquet(path)


def _read_jsonl(path: Path) -> Iterator[Row]:
    number = 0
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InvalidArgument(
                    "file", str(path), f"has a line of more than {LONGEST_LINE:,} bytes, {number}"
                )
            if line.strip():
                yield _json_row(f"line {number}", line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _json_row(place: str, line: bytes) -> Row:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(
            place, {}, InvalidArgument(place, line[:80].decode("utf-8", "replace"), f"is not JSON: {error}")
        )
    if not isinstance(record, dict):
        return Row(place, {}, InvalidArgument(place, record, "is not a JSON object"))
    return Row(place, record)


def _read_csv(path: Path) -> Iterator[Row]:
    longest = csv.field_size_limit(LONGEST_LINE)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True)
            names = next(lines, [])
            if len(set(names)) != len(names):
                raise InvalidArgument("file", str(path), "has two columns of one name")
            for cells in lines:
                if cells:
                    yield _csv_row(f"line {lines.line_num}", names, cells)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidArgument("file", str(path), f"is not CSV in UTF-8: {error}") from None
    finally:
        csv.field_size_limit(longest)


def _csv_row(place: str, names: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(names):
        problem = f"is the number of cells, of {len(names)} columns"
        return Row(place, {}, InvalidArgument(place, len(cells), problem))
    record = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            record[name] = read_cell(name, cell)
        except (ValueError, RecursionError) as error:
            problem = str(error) if name not in STRUCTURED else f"is not JSON: {error}"
            return Row(place, {}, InvalidArgument(f"{place}: {name}", cell, problem))
    return Row(place, record)


def read_cell(name: str, cell: str) -> Any:
    """Return the value of a cell of the column `name`; an empty one is None.

    Raises:
        ValueError: it is not what this column holds.
    """
    if not cell:
        return None
    if name in STRUCTURED:
        return json.loads(cell)
    text = _text_of(cell)
    if name in NUMBERS:
        if not re.fullmatch(r"-?\d{1,19}", text):
            raise ValueError("is not a whole number")
        return int(text)
    return text
