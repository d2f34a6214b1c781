"""What of a job is kept from view."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistentq import PersistentQMemory
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
