"""Putting a backup in the place of a queue: a copy of it learns what ran since, and then gets the name.

The backup itself is only read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from persistentq import clock
from persistentq.copies_interface import OnStage, Restored, Stage
from persistentq.errors import CopyRefused, QueueIncomplete, QueueMoved, SchemaMismatch, StorageError
from persistentq.journal import ActNote
from persistentq.life import lasts
from persistentq.sql.backing_up import BESIDE, back_up, look_through, new_file, open_file, sync
from persistentq.sql.copying import (
    check_copy,
    copy_numbers,
    copy_tables,
    count_rows,
    empty_tables,
    first_filled,
    last_numbers,
    write_batch,
)
from persistentq.sql.journal import open_entry
from persistentq.sql.merging import Merged, Merging, pause_all
from persistentq.sql.models import ConsumerRow
from persistentq.sql.schema import VERSION, Standing, version_of
from persistentq.sql.side import Side
from persistentq.sql.sqlite import choose_driver

ANOTHER = "name a file that `backup` has made"


class Restoring(NamedTuple):
    """One restore.

    Attributes:
        backup: The file.
        said: Who does it, and why; None to look only.
        force: On a server: whether the database may have rows.
        on_stage: Told how far it has come.
    """

    backup: Path
    said: ActNote | None
    force: bool
    on_stage: OnStage

    # --- into a file

    def into_file(self, file: Path, present: Side | None) -> Restored:
        """Restore into a file; `present` is None where there is none, or one that is no queue that can be read."""
        if file.resolve() == self.backup.resolve():
            raise CopyRefused(f"{self.backup} is the queue itself", ANOTHER)
        aside = aside_of(file) if file.exists() else None
        with new_file(file.with_name(f"{file.name}.{token_hex(4)}.part")) as part:
            read_backup(self.backup, part)
            self.on_stage(Stage.CHECKED, 0, 0)
            if present is None:
                return self._into_unknown(file, part, aside)
            try:
                with self._alone(present) as connection:
                    self._check_present(present, connection)
                    restored = self._learn(part, present.location, (present, connection), aside)
                    self._swap(part, file, aside)
                return restored
            except StorageError as error:
                # All others say that it can be read, only not now, or not by this code.
                if type(error) is not StorageError:
                    raise
                # Its last connection, when it closes, deletes the log beside whatever has the name by then.
                present.close()
                return self._into_unknown(file, part, aside)

    def _into_unknown(self, file: Path, part: Path, aside: Path | None) -> Restored:
        restored = self._learn(part, str(file), None, aside)
        self._swap(part, file, aside)
        return restored

    @contextmanager
    def _alone(self, present: Side) -> Iterator[Connection]:
        if self.said is None:
            with present.reading() as connection:
                yield connection
        else:
            with present.alone() as connection:
                yield connection

    def _swap(self, part: Path, file: Path, aside: Path | None) -> None:
        """Put the copy in the place of the file, which keeps another name; at each moment there is one of the two."""
        if self.said is None:
            return
        sync(part)
        self.on_stage(Stage.CHECKING, 0, 0)
        if aside is not None:
            aside.hardlink_to(file)
        # Of one that could not be read, or of none. What is left of another database would be taken for the copy's own.
        for end in BESIDE:
            with suppress(FileNotFoundError):
                Path(f"{file}{end}").rename(f"{aside or aside_of(file)}{end}")
        self.on_stage(Stage.TAKEN, 0, 0)
        if aside is not None:
            part.replace(file)
        else:
            file.hardlink_to(part)
        sync(file.parent)
        self.on_stage(Stage.PLACED, 0, 0)

    # --- into a server's database

    def into_server(self, present: Side) -> Restored:
        """Restore into a database on a server, in one transaction."""
        with TemporaryDirectory(prefix="persistentq-") as folder, new_file(Path(folder, "queue.db")) as part:
            read_backup(self.backup, part)
            self.on_stage(Stage.CHECKED, 0, 0)
            if self.said is None:
                return self._plan_for_server(present, part)
            with present.making():
                pass
            with present.holding() as connection:
                aside = self._keep_present(present, connection)
                known = (present, connection)
                restored = self._learn(part, present.location, known, aside)
                self._refill(present, connection, part)
                self.on_stage(Stage.TAKEN, 0, 0)
        self.on_stage(Stage.PLACED, 0, 0)
        return restored

    def _plan_for_server(self, present: Side, part: Path) -> Restored:
        with present.reading() as connection:
            if version_of(connection) is None:
                return self._learn(part, present.location, None, None)
            self._check_present(present, connection)
            aside = self._aside_of_server(connection)
            return self._learn(part, present.location, (present, connection), aside)

    def _aside_of_server(self, connection: Connection) -> Path | None:
        if (filled := first_filled(connection)) is None:
            return None
        if not self.force:
            problem = f"the database is not empty: {filled} has rows"
            raise CopyRefused(problem, "restore into an empty one, or replace what is there with --force")
        return aside_of(self.backup)

    def _keep_present(self, present: Side, connection: Connection) -> Path | None:
        self._check_present(present, connection)
        if (aside := self._aside_of_server(connection)) is not None:
            back_up(present, aside, self.on_stage)
        return aside

    def _refill(self, present: Side, connection: Connection, part: Path) -> None:
        empty_tables(connection)
        with open_file(part) as copy, copy.reading() as source:
            total = sum(count_rows(source).values())
            read = copy_tables(
                source,
                lambda table, rows: write_batch(connection, table, rows),
                lambda done: self.on_stage(Stage.COPYING, done, total),
            )
            numbers = last_numbers(source, copy.gates)
        copy_numbers(numbers, connection, present.gates)
        check_copy(
            connection, present.location, read, lambda done: self.on_stage(Stage.CHECKING, done, total)
        )

    # --- both

    def _check_present(self, present: Side, connection: Connection) -> None:
        """Make sure that what is there may be replaced.

        Raises:
            CopyRefused: consumers are alive.
            QueueMoved, QueueIncomplete: the queue is live elsewhere, and would be twice.
            SchemaMismatch: it is of another version.
        """
        present.check_version(connection)
        found = present.mark(connection)
        if found.standing is Standing.MOVED:
            raise QueueMoved(present.location, found.other)
        if found.standing is Standing.INCOMPLETE:
            raise QueueIncomplete(present.location, found.other)
        if found.is_underway:
            raise CopyRefused(
                f"{present.location} is being moved to {found.other}", "wait until that has ended"
            )
        now = present.now(connection)
        looked_at = select(ConsumerRow.id, ConsumerRow.life, ConsumerRow.heartbeat_at)
        rows = connection.execute(looked_at.where(ConsumerRow.stopped_at.is_(None)).order_by(ConsumerRow.id))
        if alive := [name for name, life, seen in rows.all() if lasts(life, now - seen)]:
            raise CopyRefused(
                f"consumers are alive: {', '.join(alive)}", "stop them, and every producer, first"
            )

    def _learn(
        self, part: Path, location: str, present: tuple[Side, Connection] | None, aside: Path | None
    ) -> Restored:
        """Let the copy know what ran since; where nobody can tell, pause its queues."""
        merged: Merged | None = None
        with open_file(part) as copy, copy.writing() as connection:
            now, before = copy.now(connection), last_numbers(connection, copy.gates)
            given: Mapping[str, int] = {}
            if present is not None:
                side, known = present
                given = last_numbers(known, side.gates)
                merging = Merging(connection, known, before, given)
                merged = merging.merge(now) if merging.is_successor() else None
            paused = pause_all(connection, now) if merged is None else ()
            copy_numbers(
                {name: max(last, given.get(name, 0)) for name, last in before.items()}, connection, copy.gates
            )
            told = Restored(
                backup=self.backup,
                location=location,
                rows=count_rows(connection),
                aside=None if aside is None else str(aside),
                paused=paused,
                **(merged or Merged())._asdict(),
            )
            if self.said is not None:
                with Session(connection) as session:
                    open_entry(session, self.said, "restore", details_of(told), now)
        return told


def details_of(told: Restored) -> dict[str, Any]:
    """Return what the journal keeps of a restore."""
    return {
        "backup": str(told.backup),
        "aside": told.aside,
        "kept": told.kept,
        "withheld": told.withheld,
        "newer": told.newer,
        "paused": len(told.paused),
    }


def aside_of(file: Path) -> Path:
    """Return the name under which what was there before a restore is kept."""
    return file.with_name(f"{file.name}.{clock.now():%Y%m%dT%H%M%S.%f}.before-restore")


def read_backup(path: Path, part: Path) -> None:
    """Copy a backup to an empty file, as a queue of this version that stands alone.

    Raises:
        CopyRefused: it is none, or damaged.
        SchemaMismatch: it is of a newer version.
    """
    if not path.is_file():
        raise CopyRefused(f"there is no file {path}", ANOTHER)
    driver = choose_driver()
    try:
        with closing(driver.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check").fetchall()]
            if found == ["ok"]:
                connection.execute("VACUUM INTO ?", (str(part),))
    except driver.Error as error:
        raise CopyRefused(f"{path} cannot be read as a backup: {error}", ANOTHER) from error
    if found != ["ok"]:
        raise CopyRefused(f"{path} is damaged: {'; '.join(found)[:300]}", "restore another backup")
    _make_present_version(path, part)
    look_through(part, {})


def _make_present_version(path: Path, part: Path) -> None:
    with open_file(part) as copy:
        with copy.reading() as connection:
            version = version_of(connection)
        if version is None:
            raise CopyRefused(f"{path} holds no queue", ANOTHER)
        if version > VERSION:
            raise SchemaMismatch(str(path), version, VERSION)
        with copy.making() as connection:
            if copy.mark(connection).standing in {Standing.MOVED, Standing.INCOMPLETE}:
                raise CopyRefused(f"{path} is a queue that is elsewhere", ANOTHER)
