"""Which jobs are meant: a small language, and what it means."""

from persistentq.query.language import parse, unparse
from persistentq.query.matching import matches
from persistentq.query.nodes import EVERY_JOB, All, Comparison, Either, Not, Query, Term

__all__ = ["EVERY_JOB", "All", "Comparison", "Either", "Not", "Query", "Term", "matches", "parse", "unparse"]
