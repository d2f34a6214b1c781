"""From a call to a job's arguments and back: what a function takes, worked out once.

Arguments are stored by name as JSON. Where an annotation says more than JSON does (a datetime, a model), pydantic
converts both ways; it is loaded when the first such value is met, as values of JSON's own types pass without it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property, partial
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    NoReturn,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from persistentq.context import JobContext, current_job
from persistentq.errors import InvalidArgument
from persistentq.payload import encode_args

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

_EMPTY = inspect.Parameter.empty
_PLAIN: tuple[tuple[Any, type], ...] = (
    *((kind, kind) for kind in (str, int, float, bool, NoneType, dict, list)),
    *((one, dict) for one in (dict[str, Any], dict[str, object])),
    *((one, list) for one in (list[Any], list[object])),
)
"""Annotations that say no more than JSON does, and the type of their values."""


class Signature:
    """What a task's function takes.

    Args:
        task: The task's name, for messages.
        function: Plain or async. A parameter annotated `JobContext` is filled in when it runs, and never stored.

    Raises:
        InvalidArgument: it takes `*args`, which have no names to store them by.
    """

    def __init__(self, task: str, function: Callable[..., Any]) -> None:
        self._task, self.function, self._source = task, function, _annotated(function)
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError) as error:
            raise InvalidArgument(
                "task", task, f"is not a function whose parameters are known: {error}"
            ) from None
        self._context = next((name for name in parameters if self._takes_context(parameters[name])), None)
        named = [one for name, one in parameters.items() if name != self._context]
        if any(one.kind is one.VAR_POSITIONAL for one in named):
            raise InvalidArgument("task", task, "takes *args, which have no names to store them by")
        self._open = next((one for one in named if one.kind is one.VAR_KEYWORD), None)
        self._parameters = {one.name: one for one in named if one is not self._open}
        kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
        self._positional = [one.name for one in named if one.kind in kinds]
        self._required = frozenset(name for name, one in self._parameters.items() if one.default is _EMPTY)
        self._by_place = [one for one in parameters.values() if one.kind is one.POSITIONAL_ONLY]
        self.context_comes_first = next(iter(parameters), None) == self._context is not None

    @property
    def names(self) -> frozenset[str]:
        """The names of the parameters that are stored."""
        return frozenset(self._parameters)

    def _takes_context(self, parameter: inspect.Parameter) -> bool:
        annotation = parameter.annotation
        if not isinstance(annotation, str):
            return annotation is JobContext
        # As text, under whatever name the function's module knows it; it may know it only for type checkers.
        first, *rest = annotation.split(".")
        found = self._globals.get(first)
        for name in rest:
            found = getattr(found, name, None)
        return found is JobContext or (found is None and annotation == JobContext.__name__)

    @property
    def _globals(self) -> Mapping[str, Any]:
        return getattr(self._source, "__globals__", {})

    # --- there

    def store(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call as they are stored: by name, JSON values only.

        Raises:
            InvalidArgument: the function does not take them, or they would not come back from JSON as they are.
        """
        values = dict(kwargs) if not args else self._by_name(args, kwargs)
        return values if self._is_plain(values) else self._to_json(values, self._validated(values))

    def effective(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the function will get, by name, with the defaults of what is not stored."""
        return {**self._defaults, **self.load(stored)}

    def distinct(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stored arguments without those that are the defaults, whether they were given or not."""
        values, defaults = self.load(stored), self._defaults
        return {
            name: value
            for name, value in stored.items()
            if name not in defaults or values[name] != defaults[name]
        }

    @property
    def _defaults(self) -> dict[str, Any]:
        return {name: one.default for name, one in self._parameters.items() if name not in self._required}

    def _by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > len(self._positional):
            problem = f"are {len(args)} by position, it takes {len(self._positional)}"
            raise InvalidArgument(self._all, tuple(args), problem)
        values = dict(zip(self._positional, args, strict=False))
        for name in kwargs:
            if name in values:
                raise InvalidArgument(
                    self._one(name), kwargs[name], "is given twice, by position and by name"
                )
        return {**values, **kwargs}

    def _to_json(self, given: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        from pydantic_core import PydanticSerializationError

        try:
            stored: dict[str, Any] = self._adapter.dump_python(values, mode="json", warnings="none")
        except PydanticSerializationError as error:
            raise InvalidArgument(self._all, dict(given), f"are not JSON: {error}") from error
        back = self._validated(stored, as_json=True)
        for name, value in values.items():
            # A secret would be stored as its asterisks, a key of a dict as a text that cannot be read again.
            if back[name] != value:
                problem = f"is stored as JSON and would come back as {back[name]!r}"
                raise InvalidArgument(self._one(name), value, problem)
        return stored

    # --- and back

    def bind(self, stored: Mapping[str, Any]) -> Callable[[], Any]:
        """Return the call of the function with stored arguments; it must be made within the job's context.

        Raises:
            InvalidArgument: the function does not take them.
        """
        values = self.load(stored)
        if self._context is None and not self._by_place:
            return partial(self.function, **values)
        return partial(self._call, values)

    def load(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Return stored arguments as the function takes them, by name.

        Raises:
            InvalidArgument: the function does not take them.
        """
        if type(stored) is dict and self._is_plain(stored):
            return stored
        return self._validated(stored, as_json=True)

    def _call(self, values: Mapping[str, Any]) -> Any:
        rest = dict(values)
        if self._context is not None:
            rest[self._context] = current_job()
        first = [rest.pop(one.name, one.default) for one in self._by_place]
        return self.function(*first, **rest)

    # --- checks

    def _is_plain(self, values: dict[str, Any]) -> bool:
        """Return whether these can be stored and given to the function as they are."""
        exact = self._exact
        for name, value in values.items():
            types = exact.get(name, ())
            if types is not None and type(value) not in types:
                return False
        return self._required <= values.keys()

    @cached_property
    def _exact(self) -> dict[str, frozenset[type] | None]:
        """The types of which a value passes as it is, by parameter; None where every value does."""
        return {name: _exact_types(self._hints[name]) for name in self._parameters}

    @cached_property
    def _hints(self) -> dict[str, Any]:
        try:
            known = {JobContext.__name__: JobContext, **self._globals}
            hints = get_type_hints(self._source, known, include_extras=True)
        except Exception as error:
            # A name that exists for type checkers only; at run time nobody knows what the value shall be.
            problem = f"has an annotation that cannot be resolved: {error}"
            raise InvalidArgument("task", self._task, problem) from error
        return {name: hints.get(name, _EMPTY) for name in (*self._parameters, *self._rest)}

    @property
    def _rest(self) -> list[str]:
        return [] if self._open is None else [self._open.name]

    def _validated(self, values: Mapping[str, Any], *, as_json: bool = False) -> dict[str, Any]:
        from pydantic import ValidationError

        self._refuse_names(values)
        try:
            if as_json:
                return self._adapter.validate_json(encode_args(values))
            return self._adapter.validate_python(values)
        except ValidationError as error:
            self._refuse(error)

    @cached_property
    def _adapter(self) -> TypeAdapter[dict[str, Any]]:
        from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter
        from typing_extensions import TypedDict

        fields: dict[str, Any] = {}
        for name in self._parameters:
            hint = Any if self._hints[name] is _EMPTY else self._hints[name]
            fields[name] = Required[hint] if name in self._required else NotRequired[hint]
        make: Any = TypedDict  # type checkers know only a literal form of it
        shape = make("shape", fields)
        shape.__pydantic_config__ = ConfigDict(extra="allow" if self._open else "forbid", title=self._task)
        try:
            return TypeAdapter(shape)
        except PydanticSchemaGenerationError as error:
            problem = f"has an annotation that is not fit for JSON: {str(error).splitlines()[0]}"
            raise InvalidArgument("task", self._task, problem) from error

    # --- what is wrong with them

    @property
    def _all(self) -> str:
        return f"task {self._task}: arguments"

    def _one(self, name: str) -> str:
        return f"task {self._task}: argument {name} ="

    def refuse_unknown(self, values: Mapping[str, Any]) -> None:
        """Raise InvalidArgument if one of these is no argument that the function takes."""
        unknown = [name for name in values if name not in self._parameters]
        if unknown and self._open is None:
            close = get_close_matches(unknown[0], self._required - values.keys() or self._parameters, 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            problem = f"is not one that it takes{meant}"
            raise InvalidArgument(self._one(unknown[0]), values[unknown[0]], problem)

    def _refuse_names(self, values: Mapping[str, Any]) -> None:
        self.refuse_unknown(values)
        if missing := [name for name in self._parameters if name in self._required and name not in values]:
            problem = f"lack {', '.join(map(repr, missing))}"
            raise InvalidArgument(self._all, dict(values), problem)

    def _refuse(self, error: ValidationError) -> NoReturn:
        first, *others = error.errors(include_url=False)
        path = ".".join(map(str, first["loc"]))
        also = f" (and {len(others)} more)" if others else ""
        problem = first["msg"].removeprefix("Input ")
        if problem == first["msg"]:
            problem = f"is refused: {problem[:1].lower()}{problem[1:]}"
        raise InvalidArgument(self._one(path), first["input"], problem + also) from error


def _annotated(function: Any) -> Any:
    """Return what has the annotations of a callable."""
    while isinstance(function, partial):
        function = function.func
    return function if inspect.isroutine(function) else type(function).__call__


def _exact_types(hint: Any) -> frozenset[type] | None:
    """Return the types whose values pass as they are, for that is what pydantic would let them do; None for all."""
    if hint in (_EMPTY, Any, object):
        return None
    if get_origin(hint) in (Union, UnionType):
        parts = [_exact_types(one) for one in get_args(hint)]
        # With a datetime beside the text, say, it is for pydantic to tell which of the two a value is.
        known = [part for part in parts if part]
        return frozenset().union(*known) if len(known) == len(parts) else frozenset()
    return next((frozenset({kind}) for one, kind in _PLAIN if hint == one), frozenset())
