"""Arguments: checked before they are stored and before they are used, JSON in between."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

import persistentq
from persistentq import InvalidArgument, JobContext
from persistentq.signature import Signature

if TYPE_CHECKING:
    from persistentq import PersistentQInterface as OnlyForCheckers

ROOT = Path(__file__).resolve().parents[2]


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Point:
    x: int
    y: int = 0


class Pair(NamedTuple):
    left: str
    right: int


class Order(BaseModel):
    id: UUID
    placed_at: datetime
    lines: list[tuple[str, Decimal]]
    note: str | None = None


def signature(function: Callable[..., Any]) -> Signature:
    return Signature("shop.do", function)


def passed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Return what the function gets after its arguments went through JSON."""
    made = signature(function)
    stored = made.store(args, kwargs)
    return made.load(json.loads(json.dumps(stored, allow_nan=False)))


def typed(
    *,
    at: datetime,
    day: date,
    hour: time,
    wait: timedelta,
    key: UUID,
    path: Path,
    size: Size,
    point: Point,
    pair: Pair,
    order: Order,
    price: Decimal,
    raw: bytes,
    words: set[str],
    place: tuple[int, str],
    by_number: dict[int, Point],
    host: IPv4Address,
    maybe: datetime | None = None,
    mode: Literal["fast", "slow"] = "fast",
) -> None: ...


TYPED: dict[str, Any] = {
    "at": datetime(2026, 11, 24, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
    "day": date(2026, 2, 28),
    "hour": time(23, 59, 59),
    "wait": timedelta(days=1, microseconds=7),
    "key": UUID("12345678-1234-5678-1234-567812345678"),
    "path": Path("/tmp/a file"),  # noqa: S108 - only its name is used
    "size": Size.LARGE,
    "point": Point(1, 2),
    "pair": Pair("a", 1),
    "order": Order(
        id=UUID(int=7), placed_at=datetime(2026, 1, 1, tzinfo=UTC), lines=[("tea", Decimal("1.10"))]
    ),
    "price": Decimal("0.1"),
    "raw": b"bytes",
    "words": {"a", "b"},
    "place": (1, "b"),
    "by_number": {1: Point(3)},
    "host": IPv4Address("127.0.0.1"),
}


def test_values_of_every_kind_come_back_as_they_were() -> None:
    assert passed(typed, **TYPED) == TYPED
    with_rest = TYPED | {"maybe": datetime(2026, 1, 1, tzinfo=UTC), "mode": "slow"}
    back = passed(typed, **with_rest)
    assert back == with_rest
    assert {name: type(value) for name, value in back.items()} == {
        name: type(value) for name, value in with_rest.items()
    }


def plain(
    a: int, b: str = "b", *, c: float | None = None, d: dict[str, Any] | None = None, e: Any = None
) -> None: ...


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(a=st.integers(), b=st.text(), c=st.none() | st.floats(allow_nan=False), e=JSON)
def test_json_values_are_stored_as_they_are(a: int, b: str, c: float | None, e: Any) -> None:
    stored = signature(plain).store((a, b), {"c": c, "e": e})
    assert stored == {"a": a, "b": b, "c": c, "e": e}
    assert signature(plain).load(stored) == stored


def test_the_shortcut_says_what_pydantic_says() -> None:
    """A value that takes it is one that pydantic would let pass unchanged."""
    annotations = [
        int,
        str,
        float,
        bool,
        None,
        dict,
        list,
        dict[str, Any],
        list[Any],
        int | None,
        str | float | None,
        Any,
    ]
    values = [1, -(2**70), "x", "", "7", 1.5, True, False, None, {}, {"a": [1]}, [], [{"b": 2}], (1,)]
    shortcuts = 0
    for annotation in annotations:

        def function(value: Any) -> None: ...

        function.__annotations__["value"] = annotation
        made = signature(function)
        for value in values:
            if made._is_plain({"value": value}):
                shortcuts += 1
                checked = made._validated({"value": value})["value"]
                assert (checked, type(checked)) == (value, type(value)), annotation
    assert shortcuts == 39


def test_positions_become_names() -> None:
    assert signature(plain).store((1, "x"), {"c": 1.0}) == {"a": 1, "b": "x", "c": 1.0}
    assert signature(plain).store((1,), {}) == {"a": 1}
    assert signature(lambda: None).store((), {}) == {}


def test_a_value_is_converted_to_its_annotation() -> None:
    assert signature(plain).store(("7",), {"c": 1}) == {"a": 7, "c": 1.0}
    assert signature(typed).load({**signature(typed).store((), TYPED), "day": "2027-01-01"})["day"] == date(
        2027, 1, 1
    )


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "task shop.do: arguments {} lack 'a'"),
        (("x",), {}, "task shop.do: argument a = 'x' should be a valid integer"),
        ((1,), {"x": 2}, "task shop.do: argument x = 2 is not one that it takes"),
        ((1,), {"bb": "x"}, "argument bb = 'x' is not one that it takes; did you mean 'b'?"),
        ((), {"aa": 1}, "did you mean 'a'?"),
        ((1, "b"), {"a": 2}, "argument a = 2 is given twice, by position and by name"),
        ((1, "b", 1.0), {}, "arguments (1, 'b', 1.0) are 3 by position, it takes 2"),
        ((1, 2), {"c": "x"}, "argument b = 2 should be a valid string (and 1 more)"),
        ((1,), {"c": float("nan"), "b": 5}, "argument b = 5 should be a valid string"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name_and_value(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        signature(plain).store(args, kwargs)
    assert message in caught.value.summary


def test_an_error_deep_inside_says_where() -> None:
    def function(orders: list[Order], age: Annotated[int, Field(ge=18)] = 18) -> None: ...

    given_orders = [{"id": UUID(int=1), "placed_at": "2026-01-01T00:00:00Z", "lines": [["tea", "cheap"]]}]
    with pytest.raises(
        InvalidArgument, match=r"argument orders\.0\.lines\.0\.1 = 'cheap' should be a valid decimal"
    ):
        signature(function).store((given_orders,), {})
    with pytest.raises(InvalidArgument, match=r"argument age = 17 should be greater than or equal to 18"):
        signature(function).store(([],), {"age": 17})


def test_what_would_not_come_back_is_refused_before_it_is_stored() -> None:
    def secret(word: SecretStr) -> None: ...

    def loose(at: datetime, values: dict[str, Any]) -> None: ...

    def keyed(cells: dict[tuple[int, int], str]) -> None: ...

    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidArgument, match=r"argument word = .* would come back as"):
        signature(secret).store(("s3cret",), {})
    with pytest.raises(InvalidArgument, match=r"argument values = .* would come back as"):
        signature(loose).store((now, {"inner": now}), {})
    with pytest.raises(InvalidArgument, match="task shop"):
        signature(keyed).store(({(1, 2): "x"},), {})
    with pytest.raises(InvalidArgument, match="are not JSON"):
        signature(loose).store((now, {"inner": object()}), {})


def test_rules_of_pydantic_in_annotations_hold_both_times() -> None:
    def function(n: Annotated[int, Field(gt=0)]) -> None: ...

    made = signature(function)
    assert made.store((1,), {}) == {"n": 1}
    for refused in (0, -1):
        with pytest.raises(InvalidArgument):
            made.store((refused,), {})
        with pytest.raises(InvalidArgument):
            made.bind({"n": refused})


def test_the_call_is_made_as_the_function_wants_it() -> None:
    def by_place(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> tuple[int, ...]:
        return a, b, c, d

    made = signature(by_place)
    assert made.bind(made.store((1,), {}))() == (1, 2, 3, 4)
    assert made.bind(made.store((1, 5, 6), {"d": 7}))() == (1, 5, 6, 7)
    assert made.bind({"a": 1, "c": 9})() == (1, 2, 9, 4)


def test_open_ended_names_are_taken() -> None:
    def function(a: int, **rest: Any) -> dict[str, Any]:
        return {"a": a, **rest}

    made = signature(function)
    assert made.bind(made.store((1,), {"x": 2, "y": [3]}))() == {"a": 1, "x": 2, "y": [3]}


@pytest.mark.parametrize("function", [lambda *args: None, int, object()])
def test_functions_whose_arguments_have_no_names_are_refused(function: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"task 'shop\.do'"):
        signature(function)


def test_partial_functions_and_objects_can_be_tasks() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    class Adder:
        def __call__(self, a: int, b: int = 5) -> int:
            return a + b

    assert signature(partial(add, b=1)).bind({"a": 1})() == 2
    with pytest.raises(InvalidArgument, match="should be a valid integer"):
        signature(partial(add, b=1)).bind({"a": "x"})
    assert signature(Adder()).bind({"a": 1})() == 6
    with pytest.raises(InvalidArgument, match="should be a valid integer"):
        signature(Adder().__call__).bind({"a": "x"})


def test_an_annotation_that_only_checkers_know_is_refused_with_the_reason() -> None:
    def function(a: int, queue: OnlyForCheckers) -> None: ...

    made = signature(function)
    with pytest.raises(InvalidArgument, match="annotation that cannot be resolved: name 'OnlyForCheckers'"):
        made.store((1, 2), {})


def test_an_annotation_without_a_form_in_json_is_refused_with_the_reason() -> None:
    class Connection: ...

    def function(connection: Any) -> None: ...

    function.__annotations__["connection"] = Connection
    with pytest.raises(InvalidArgument, match=r"annotation that is not fit for JSON: .*Connection"):
        signature(function).store((Connection(),), {})


class TestContext:
    def test_the_parameter_is_neither_stored_nor_missing(self) -> None:
        def first(context: JobContext, a: int) -> None: ...

        def last(a: int, *, context: JobContext) -> None: ...

        def dotted(context: persistentq.JobContext, a: int) -> None: ...

        for function in (first, last, dotted):
            made = signature(function)
            assert made.store((1,), {}) == {"a": 1}
            assert made.names == {"a"}
            with pytest.raises(InvalidArgument, match="argument context = 1 is not one that it takes"):
                made.store((1,), {"context": 1})
        assert signature(first).context_comes_first
        assert not signature(last).context_comes_first

    def test_without_future_annotations(self) -> None:
        made: dict[str, Any] = {}
        exec("from persistentq import JobContext as C\ndef f(c: C, a: int): ...", made)  # noqa: S102
        assert signature(made["f"]).store((1,), {}) == {"a": 1}

    def test_if_only_type_checkers_import_it(self) -> None:
        made: dict[str, Any] = {}
        exec("from __future__ import annotations\ndef f(c: JobContext, a: int): ...", made)  # noqa: S102
        assert signature(made["f"]).store(("1",), {}) == {"a": 1}


def test_defaults_given_or_not_are_not_distinct() -> None:
    def function(a: int, at: datetime = datetime(2026, 1, 1, tzinfo=UTC), b: str = "b") -> None: ...

    made = signature(function)
    assert made.distinct(made.store((1,), {})) == {"a": 1}
    assert made.distinct(made.store((1, datetime(2026, 1, 1, tzinfo=UTC)), {"b": "b"})) == {"a": 1}
    assert made.distinct(made.store((1,), {"b": "c"})) == {"a": 1, "b": "c"}
    assert made.effective({"a": 1}) == {"a": 1, "at": datetime(2026, 1, 1, tzinfo=UTC), "b": "b"}


def test_pydantic_is_loaded_only_for_what_json_does_not_say() -> None:
    code = """
import sys
from typing import Any
from persistentq import Tasks
tasks = Tasks()
def send(to: str, n: int = 1, cc: list[Any] | None = None): return to
send = tasks.add("send", send)
assert send.bind(send.new("a", cc=["b"]).args)() == "a"
assert not {"pydantic", "asyncio"} & sys.modules.keys()
try:
    send.new(to=5)
except ValueError as error:
    print(error)
assert "pydantic" in sys.modules
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.stdout, ran.stderr) == ("task send: argument to = 5 should be a valid string\n", "")
