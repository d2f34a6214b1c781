"""What of a job is kept from view."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistentq import Act, ActNote, PersistentQMemory, Progress, Schedule
from persistentq.redaction import REDACTED, SECRETS, Redaction


@pytest.mark.parametrize(
    "key", ["password", "PASSWORD", "user_password_2", "apiKey", "X-Api-Key", "Set-Cookie"]
)
def test_a_key_with_a_secrets_name_is_hidden(key: str) -> None:
    assert Redaction().hides(key)


@pytest.mark.parametrize("key", ["to", "pass", "", "keyboard"])
def test_other_keys_are_shown(key: str) -> None:
    assert not Redaction().hides(key)


def test_a_pattern_is_for_the_whole_key() -> None:
    redaction = Redaction(("card_*", "iban"))
    assert [redaction.hides(key) for key in ("card_no", "my_card_no", "My_IBAN", "password")] == [
        True,
        False,
        True,
        False,
    ]
    assert not Redaction(()).hides("password")


def test_however_deep_it_lies() -> None:
    job = PersistentQMemory().enqueue(
        "t",
        {"to": "a", "login": [{"password": "p1", "name": "n"}], "token": {"a": "p2"}},
        metadata={"cookie": ["p3"]},
    )
    shown = Redaction().job(job)
    assert shown.args == {"to": "a", "login": [{"password": REDACTED, "name": "n"}], "token": REDACTED}
    assert shown.metadata == {"cookie": REDACTED}
    assert (shown.id, shown.status) == (job.id, job.status)


keys = st.one_of(st.sampled_from(["a", "to", *SECRETS, "my_token"]), st.text(max_size=5))
values: Any = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=10,
)


@given(values)
def test_nothing_but_secrets_is_changed(value: Any) -> None:
    redaction = Redaction()

    def same(old: Any, new: Any) -> bool:
        if isinstance(old, dict):
            return old.keys() == new.keys() and all(
                new[key] == REDACTED if redaction.hides(key) else same(old[key], new[key]) for key in old
            )
        if isinstance(old, list):
            return len(old) == len(new) and all(map(same, old, new))
        return bool(old == new)

    assert same(value, redaction.shown(value))
    assert redaction.shown(redaction.shown(value)) == redaction.shown(value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("login failed: password=hunter2", "login failed: password=[redacted]"),
        ("password = hunter2, user=ann", "password = [redacted], user=ann"),
        ("error: secret=a token=b", "error: secret=[redacted] token=[redacted]"),
        ("{'password': 'hun ter\\'2', 'to': 'a'}", "{'password': [redacted], 'to': 'a'}"),
        ('{"api_key":"x\\"y","n":1}', '{"api_key":[redacted],"n":1}'),
        ('body "{\\"token\\": \\"abc\\", \\"n\\": 1}"', 'body "{\\"token\\": [redacted], \\"n\\": 1}"'),
        ('{"token": {"a": 1, "b": 2}, "n": 3}', '{"token": [redacted], "n": 3}'),
        ("cookies=[1, 2] n=3", "cookies=[redacted] n=3"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("GET /x?api_key=abc&page=2", "GET /x?api_key=[redacted]&page=2"),
        ("send(my_token='abc', to=3)", "send(my_token=[redacted], to=3)"),
        ('password="never closed', "password=[redacted]"),
        ("postgresql://ann:hunter2@db:5432/q", "postgresql://ann:[redacted]@db:5432/q"),
        ("first\npassword: x\nlast", "first\npassword: [redacted]\nlast"),
        ("if token == expected", "if token == expected"),
        ("the password was wrong", "the password was wrong"),
        ("password:", "password:"),
        ("to=a subject='b'", "to=a subject='b'"),
        ("", ""),
    ],
)
def test_texts_are_shown_without_the_values_of_secrets(text: str, shown: str) -> None:
    assert Redaction().text(text) == shown
    assert Redaction().text(shown) == shown
    assert Redaction(()).text(text) == text


@given(
    st.text(max_size=30),
    st.sampled_from(SECRETS),
    st.text(st.characters(codec="ascii"), min_size=1, max_size=9),
)
def test_a_quoted_secret_does_not_remain(before: str, key: str, secret: str) -> None:
    value = f"{secret}-hunter2"
    shown = Redaction().text(f"{before} {json.dumps({key: value})} {key}={value!r}")
    assert "hunter2" not in shown


def test_long_texts_take_no_longer_than_they_are_long() -> None:
    """A regular expression that tries everything would take minutes for each of these."""
    for text in (
        "a" * 200_000,
        "password=" * 20_000,
        '"' * 100_000,
        "password='" + "\\" * 99_999,
        "x=1 " * 50_000,
    ):
        Redaction().text(text)


def test_errors_tracebacks_and_logs_of_a_job(queue_of_secrets: PersistentQMemory) -> None:
    redaction = Redaction()
    job = queue_of_secrets.get_job(1)
    seen: list[object] = [
        redaction.job(job),
        *redaction.attempts(queue_of_secrets.get_attempts(1)),
        redaction.log(queue_of_secrets.get_log(1)),
        redaction.schedule(queue_of_secrets.get_schedule("s")),
        *map(redaction.entry, queue_of_secrets.list_journal().items),
    ]
    assert "hunter2" not in repr(seen)
    assert repr(seen).count(REDACTED) == 9


@pytest.fixture
def queue_of_secrets() -> PersistentQMemory:
    queue = PersistentQMemory()
    queue.enqueue("t")
    (job,) = queue.dequeue("c")
    queue.record(job, lines=["token=hunter2"], progress=Progress(0.5, "password=hunter2"))
    try:
        raise ValueError("secret=hunter2")
    except ValueError as error:
        queue.fail(job, error, retry=False)
    queue.put_schedule(Schedule("s", "@daily", "t", {"password": "hunter2"}))
    queue.resubmit(1)
    queue.act(
        Act("mark-failed", error="secret=hunter2"),
        [1],
        note=ActNote("ann", reason="the token=hunter2 leaked"),
    )
    return queue
