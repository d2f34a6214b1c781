"""The tables and their version: made twice the same, and refused where they are another's."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from persistentq import (
    DatabaseMissing,
    PersistentQSQLAlchemy,
    SchemaMismatch,
    StorageError,
    migrate,
    open_queue,
)
from persistentq.sql import schema
from persistentq.sql.models import Base, SchemaRow
from persistentq.sql.transactions import facts_for

POSTGRESQL_SCHEMA = (
    """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
              pg_get_expr(d.adbin, d.adrelid)
       FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
       LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
       WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT sequencename, data_type::text, start_value FROM pg_sequences WHERE schemaname = 'public'",
)


def schema_of(connection: Connection) -> set[tuple[object, ...]]:
    """Return all that the database says about its tables, columns, constraints and indexes, without their order."""
    if connection.dialect.name == "postgresql":
        return {
            (number, *row)
            for number, question in enumerate(POSTGRESQL_SCHEMA)
            for row in connection.execute(text(question))
        }
    rows = connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    return {(kind, name, table, definitions(sql or "")) for kind, name, table, sql in rows}


def definitions(sql: str) -> tuple[str, ...]:
    """Return what stands before, in and behind the parentheses of a CREATE; columns and constraints in any order.

    Added later, a column stands behind the constraints, and the table is the same.
    """
    words = " ".join(sql.split())
    head, _, rest = words.partition("(")
    body, _, tail = rest.rpartition(")")
    depth, parts = 0, [""]
    for letter in body:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    in_order = head.startswith("CREATE TABLE")
    listed = [part.strip() for part in parts]
    return (head.strip(), *(sorted(listed) if in_order else listed), tail.strip())


def test_models_and_revisions_give_the_same_tables(own_url: str) -> None:
    """What a new database gets at once is what an old one has after all its upgrades."""
    url = make_url(own_url)
    facts, engine = facts_for(url), create_engine(url)
    with PersistentQSQLAlchemy(url) as queue, queue.engine.connect() as connection:
        from_models = schema_of(connection)
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        assert {row for row in schema_of(connection) if "sqlite_sequence" not in row} == set()
        SchemaRow.metadata.tables[SchemaRow.__tablename__].create(connection)
    engine.dispose()
    engine = facts.make_engine(url, timedelta(seconds=10), create=True)
    with facts.schema_change(engine) as connection:
        schema.run_revisions(connection, own_url, "")
        assert connection.execute(text("SELECT version_num FROM persistentq_schema")).all() == [
            (schema.VERSION,)
        ]
        from_revisions = schema_of(connection)
    engine.dispose()
    assert from_revisions == from_models
    assert len(from_models) > 15


def test_revisions_count_upwards_and_the_last_is_the_codes() -> None:
    """Versions are compared as text, and every database comes from the first."""
    revisions = [one.revision for one in ScriptDirectory(str(schema.MIGRATIONS)).walk_revisions()]
    assert revisions[::-1] == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert revisions[0] == schema.VERSION


def test_where_nothing_is_to_be_upgraded_alembic_is_not_loaded(tmp_path: Path) -> None:
    """Neither to make a database nor to open one: it would double the time that a start takes."""
    code = (
        "import sys; from persistentq import open_queue\n"
        f"for _ in range(2): open_queue('sqlite:///{tmp_path}/queue.db').close()\n"
        "print('alembic' in sys.modules, 'mako' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False False\n"


def set_version(url: str, version: str) -> None:
    with open_queue(url) as queue, queue.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE persistentq_schema SET version_num = :v"), {"v": version})


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_schema_is_refused(own_url: str, *, create: bool) -> None:
    set_version(own_url, "9999")
    for refused in (lambda: open_queue(own_url, create=create), lambda: migrate(own_url)):
        with pytest.raises(SchemaMismatch, match=r"has schema 9999, this code needs 0001") as caught:
            refused()
        assert (caught.value.found, caught.value.wanted) == ("9999", schema.VERSION)
        assert caught.value.hint == "install a newer persistentq"


@pytest.mark.parametrize("create", [True, False])
def test_on_a_server_an_older_schema_is_refused_with_the_command(
    own_postgres_url: str, *, create: bool
) -> None:
    set_version(own_postgres_url, "0000")
    with pytest.raises(SchemaMismatch, match=r"has schema 0000, this code needs 0001") as caught:
        open_queue(own_postgres_url, create=create)
    assert "`persistentq admin migrate`" in caught.value.hint


def test_a_schema_that_is_none_of_ours_is_refused(own_url: str) -> None:
    """And nothing is done to it."""
    set_version(own_url, "0000")
    for _ in range(2):
        with pytest.raises(StorageError, match=r"has schema '0000', which cannot be upgraded"):
            migrate(own_url)


def test_migrate_makes_the_tables_where_there_are_none_and_does_no_harm(own_url: str) -> None:
    with pytest.raises(DatabaseMissing):
        open_queue(own_url, create=False)
    assert migrate(own_url)[1:] == (None, schema.VERSION)
    with open_queue(own_url, create=False) as queue:
        job = queue.enqueue("any.task")
        assert migrate(own_url) == (queue.location, schema.VERSION, schema.VERSION)
        assert queue.get_job(job.id) == job


def test_migrate_shows_no_password(own_postgres_url: str) -> None:
    secret = make_url(own_postgres_url).set(password="hunter2")
    assert "hunter2" not in migrate(secret).location


def test_the_comparison_sees_what_differs() -> None:
    table = "CREATE TABLE t (\n\ta INTEGER NOT NULL, \n\tb TEXT, \n\tCHECK (a IN (1, 2))\n)STRICT"
    assert definitions(table) == definitions(re.sub(r"\tb TEXT, \n(.*)\n", r"\1, b TEXT", table))
    for other in ("STRICT", " NOT NULL", ", 2", "b TEXT, "):
        assert definitions(table) != definitions(table.replace(other, ""))
    assert definitions("CREATE INDEX i ON t (a, b)") != definitions("CREATE INDEX i ON t (b, a)")
