"""The query language: what it means, that it comes back as it was, and how it tells what is wrong."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistentq import InvalidArgument, Job, JobStatus
from persistentq.errors import InvalidQuery
from persistentq.query import EVERY_JOB, All, Comparison, Either, Not, Query, Term, matches, parse, unparse
from persistentq.query.completing import complete
from persistentq.query.fields import FIELDS, PATHS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
JOB = Job(
    id=7,
    task="mail.send",
    args={
        "to": "a@example.org",
        "n": 3,
        "to_all": [{"name": "x y"}, {"name": "z"}],
        "flag": True,
        "no": None,
    },
    queue="default",
    priority=-2,
    status=JobStatus.FAILED,
    attempt=3,
    max_attempts=3,
    created_at=NOW - timedelta(minutes=15),
    run_at=NOW - timedelta(minutes=15),
    started_at=NOW - timedelta(minutes=5),
    finished_at=NOW - timedelta(minutes=4),
    consumer="consumer_01",
    unique_key="order-17",
    tags=("vip", "eu"),
    metadata={"source": "import"},
    error='Timed out after 30 s: "no answer"',
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "status:failed",
        "status:failed task:mail.* queue:default",
        "consumer:consumer_*",
        "age>10m attempts>=3",
        'error:"timed OUT"',
        r'error:"\"no answer\""',
        "args.to:a@example.org args.n:3 args.flag:true args.no:null",
        "args.to_all.name:z",
        'args.to_all.name:"x y"',
        "args.to_all.1.name:z",
        "meta.source:imp*",
        "tag:vip tag:eu -tag:test",
        "key:order-*",
        "priority<0 priority>-3 id:7 id<=7",
        "created<2026-11-24T12:00 started>=2026-11-24 finished<2026-11-24T12:56:30+01:00",
        "status:done OR status:failed",
        "status:done OR (queue:default AND NOT task:sms.*)",
        "NOT (status:done OR status:pending)",
        "NOT NOT status:failed",
        "-(status:done status:failed)",
        "run<2026-11-25",
    ],
)
def test_a_query_that_means_the_job(text: str) -> None:
    query = parse(text)
    assert matches(query, JOB, NOW)
    assert parse(unparse(query)) == query


@pytest.mark.parametrize(
    "text",
    [
        "status:done",
        "task:mail",
        "task:MAIL.*",
        "-status:failed",
        "status:failed queue:other",
        "age<10m",
        "age>15m",
        "tag:vi*x",
        "args.to:b",
        "args.n:33",
        "args.to.deeper:x",
        "args.to_all.9.name:z",
        "meta.to:a@example.org",
        "finished<2026-11-24T11:00",
        "error:answered",
        "status:done OR status:pending queue:default",
    ],
)
def test_a_query_that_does_not_mean_the_job(text: str) -> None:
    assert not matches(parse(text), JOB, NOW)


def test_or_binds_less_than_and() -> None:
    a, b, c = (Term("queue", Comparison.IS, name) for name in "abc")
    assert parse("queue:a queue:b OR queue:c") == Either((All((a, b)), c))
    assert parse("queue:a AND (queue:b OR queue:c)") == All((a, Either((b, c))))
    assert parse("queue:a OR (queue:b OR queue:c)") == Either((a, b, c))
    assert parse("-queue:a queue:b") == All((Not(a), b))
    assert parse("") == EVERY_JOB


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("statsu:failed", 0, "did you mean 'status'?"),
        ("queue:a status:fialed", 15, "did you mean failed?"),
        ("age>10", 4, "is not a span such as"),
        ("age:10m", 0, "takes"),
        ("status>failed", 0, "compares status by >"),
        ("attempts>=many", 10, "is not a whole number"),
        ("created>yesterday", 8, "is not a time such as"),
        ("queue:a (status:done", 8, "opens a parenthesis that is not closed"),
        ("queue:a )", 8, "closes a parenthesis that was not opened"),
        ("()", 1, "closes a parenthesis"),
        ("queue:a OR", 10, "ends where a term belongs"),
        ("queue:a OR OR queue:b", 11, "has OR where a term belongs"),
        ("timeout", 0, 'is error:"timeout" meant?'),
        ("queue:", 6, "has no value for queue"),
        ('error:"open', 6, "has no value for error"),
        ("arg.to:x", 0, "did you mean 'args.to'?"),
        ("args:x", 0, "names a field"),
        ("NOT " * 60 + "queue:a", 200, "nested deeper than 50 levels"),
        ("a" * 10_001, 0, "longer than 10,000 characters"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, at: int, says: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse(text)
    assert caught.value.at == at
    assert says in caught.value.summary
    assert "\n" not in caught.value.summary
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert again.summary == caught.value.summary
    assert isinstance(caught.value, InvalidArgument)


def test_every_fields_example_is_a_term_with_it() -> None:
    for name, field in {**FIELDS, **PATHS}.items():
        term = parse(field.example)
        assert isinstance(term, Term)
        assert term.field.partition(".")[0] == name


TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
MIN, MAX = datetime(1971, 1, 1), datetime(8999, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
TIMES = st.datetimes(MIN, MAX, timezones=st.just(UTC))
SPANS = st.timedeltas(timedelta(0), timedelta(days=36_500))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("queue", "task", "consumer", "tag", "key", "error", "args.a.b", "meta.x"), TEXTS),
    "id": st.integers(1, 2**63 - 1),
    "priority": st.integers(-1_000_000, 1_000_000),
    "attempts": st.integers(0, 2**31 - 1),
    **dict.fromkeys(("created", "run", "started", "finished"), TIMES),
    "age": SPANS,
    "status": st.sampled_from([status.value for status in JobStatus]),
}


@st.composite
def terms(draw: st.DrawFn) -> Term:
    name = draw(st.sampled_from(sorted(VALUES)))
    known = FIELDS.get(name) or PATHS[name.partition(".")[0]]
    return Term(name, draw(st.sampled_from(known.comparisons)), draw(VALUES[name]))


QUERIES: st.SearchStrategy[Query] = st.recursive(
    terms(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(lambda parts: All(tuple(parts)), st.lists(inner, min_size=2, max_size=4)),
        st.builds(lambda parts: Either(tuple(parts)), st.lists(inner, min_size=2, max_size=4)),
    ),
    max_leaves=12,
)


@given(QUERIES)
def test_a_query_comes_back_as_it_was(query: Query) -> None:
    """Printed and read, but for parts within parts of the same kind, which mean the same one level up."""
    once = parse(unparse(query))
    assert parse(unparse(once)) == once
    assert matches(once, JOB, NOW) == matches(query, JOB, NOW)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    query, error = parsed(text)
    if query is not None:
        assert parse(unparse(query)) == query
    if error is not None:
        assert 0 <= error.at <= len(text)
        assert error.summary


def parsed(text: str) -> tuple[Query | None, InvalidQuery | None]:
    try:
        return parse(text), None
    except InvalidQuery as error:
        return None, error


def known_names(field: str, value: str) -> list[tuple[str, str]]:
    return [("mail", "3 jobs")] if field == "queue" and "mail".startswith(value) else []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("sta", ["status:", "started>="]),
        ("task:a -status:fa", ["task:a -status:failed"]),
        ("(queue:m", ["(queue:mail"]),
        ("queue:x", []),
        ('error:"timed o', []),
        ("ar", ["args."]),
    ],
)
def test_what_may_follow_is_offered(typed: str, offered: list[str]) -> None:
    assert [word for word, _ in complete(typed, known_names)] == offered
