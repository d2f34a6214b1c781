"""migrate: the tables of this version, whatever is there."""

from __future__ import annotations

import sys

import persistentq
from persistentq.operations import safe

from ._operator import allow
from ._options import Report
from ._render import SCHEMA, print_json


def migrate(output: Report = "text") -> None:
    """Create the queue's tables, or upgrade older ones. Harmless if there is nothing to do.

    An SQLite file is upgraded by whatever opens it first. On a server this command does it, and nothing else.
    """
    allow("migrate")
    location, before, after = persistentq.migrate()
    if output == "json":
        print_json({"schema": SCHEMA, "location": location, "from": before, "to": after})
    elif before == after:
        sys.stdout.write(f"{safe(location)} has schema {after}; there is nothing to do\n")
    elif before is None:
        sys.stdout.write(f"{safe(location)} has new tables, schema {after}\n")
    else:
        sys.stdout.write(f"{safe(location)} is upgraded from schema {before} to {after}\n")
