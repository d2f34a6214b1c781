"""The query language, as the command line, the manager and the dashboard share it: text to a query and back.

```
status:failed task:mail.* age>10m attempts>=3 error:"timed out" args.to:a@example.org -tag:test
(queue:mail OR queue:sms) AND NOT consumer:consumer_01
```

Terms that stand side by side must all hold; OR binds less than AND; `-` and NOT mean the opposite. A value with spaces,
quotes or parentheses stands between double quotes, in which a backslash lets a quote or a backslash be itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from persistentq.errors import InvalidArgument, InvalidQuery
from persistentq.query.fields import find_field, write
from persistentq.query.nodes import All, Comparison, Either, Not, Query, Term

LONGEST = 10_000
DEEPEST = 50
_WORDS = {"AND", "OR", "NOT"}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>\() | (?P<close>\)) |
        (?P<minus>-)(?=[^\s)]) |
        (?P<field>[A-Za-z][A-Za-z0-9_.-]*)(?P<comparison><=|>=|:|<|>)(?P<value>"(?:[^"\\]|\\.)*"|[^\s()"]*) |
        (?P<word>[^\s()]+)
    )""",
    re.VERBOSE,
)
_PLAIN = re.compile(r'[^\s()"\\-][^\s()"\\]*')


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    match: re.Match[str]


def parse(text: str) -> Query:
    """Return what a query means; an empty one means every job.

    Raises:
        InvalidQuery: it cannot be read; the error points at the place, and suggests what may have been meant.
    """
    if len(text) > LONGEST:
        raise InvalidQuery(text[:50], 0, f"is longer than {LONGEST:,} characters")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._tokens, self._next, self._depth = text, _tokens(text), 0, 0

    def parse(self) -> Query:
        if not self._tokens:
            return All()
        query = self._either()
        if (token := self._peek()) is not None:
            raise InvalidQuery(self._text, token.at, "closes a parenthesis that was not opened")
        return query

    def _peek(self, word: str | None = None) -> _Token | None:
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        if word is None or (token is not None and token.kind == "word" and token.text == word):
            return token
        return None

    def _either(self) -> Query:
        parts = [self._all()]
        while self._peek("OR"):
            self._next += 1
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Either(_flat(Either, parts))

    def _all(self) -> Query:
        parts = [self._opposite()]
        while (token := self._peek()) is not None and token.kind != "close" and not self._peek("OR"):
            if self._peek("AND"):
                self._next += 1
            parts.append(self._opposite())
        return parts[0] if len(parts) == 1 else All(_flat(All, parts))

    def _opposite(self) -> Query:
        token = self._peek()
        if token is None:
            raise InvalidQuery(self._text, len(self._text), "ends where a term belongs")
        self._next += 1
        if token.kind == "minus" or (token.kind == "word" and token.text == "NOT"):
            return Not(self._nested(self._opposite, token))
        if token.kind == "open":
            inner = self._nested(self._either, token)
            if (closing := self._peek()) is None or closing.kind != "close":
                raise InvalidQuery(self._text, token.at, "opens a parenthesis that is not closed")
            self._next += 1
            return inner
        if token.kind == "field":
            return self._term(token)
        raise InvalidQuery(self._text, token.at, _stray(token))

    def _nested(self, read: Callable[[], Query], token: _Token) -> Query:
        self._depth += 1
        if self._depth > DEEPEST:
            raise InvalidQuery(self._text, token.at, f"is nested deeper than {DEEPEST} levels")
        inner = read()
        self._depth -= 1
        return inner

    def _term(self, token: _Token) -> Term:
        name, value = token.match["field"], token.match["value"]
        at = token.match.start("field")
        try:
            field = find_field(name)
        except InvalidArgument as error:
            raise InvalidQuery(self._text, at, f"names a field that {error.problem}") from None
        comparison = Comparison(token.match["comparison"])
        if comparison not in field.comparisons:
            known = " ".join(field.comparisons)
            raise InvalidQuery(self._text, at, f"compares {name} by {comparison}, which takes {known}")
        at = token.match.start("value")
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL)
        if not value:
            raise InvalidQuery(self._text, at, f"has no value for {name}, as in {field.example}")
        try:
            return Term(name, comparison, field.read(value))
        except InvalidArgument as error:
            raise InvalidQuery(self._text, at, f"has a value that {error.problem}") from None


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.end() == at:
            raise InvalidQuery(text, at, "cannot be read from here")
        kind = match.lastgroup or ""
        kind = "field" if match["field"] else kind
        tokens.append(_Token(kind, match[kind], match.start(kind), match))
        at = match.end()
    return tokens


def _stray(token: _Token) -> str:
    if token.kind == "close":
        return "closes a parenthesis that was not opened"
    if token.text in _WORDS:
        return f"has {token.text} where a term belongs"
    return f'has a word without a field; is error:"{token.text.strip(chr(34))}" meant?'


def _flat(kind: type[All | Either], parts: list[Query]) -> tuple[Query, ...]:
    return tuple(
        inner
        for part in parts
        for inner in (part.parts if isinstance(part, kind) and part.parts else (part,))
    )


def unparse(query: Query) -> str:
    """Return a query as text, which means the same when it is read."""
    match query:
        case Term():
            return f"{query.field}{query.comparison}{_quoted(write(query.value))}"
        case Not():
            inner = unparse(query.inner)
            return f"-{inner}" if isinstance(query.inner, Term) else f"NOT ({inner})"
        case All():
            return " ".join(
                f"({unparse(part)})" if isinstance(part, Either) else unparse(part) for part in query.parts
            )
        case Either():
            return " OR ".join(unparse(part) for part in query.parts)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
