"""`--app module[:object]`: the user's tasks, imported by a name that a person typed."""

from __future__ import annotations

import sys
import traceback
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import ModuleType

from persistentq.errors import InvalidArgument
from persistentq.tasks import TASKS, Tasks

OPTION = "--app"


def load_app(name: str) -> Tasks:
    """Import the module that holds the user's tasks, from the current directory too, and return its registry.

    May be repeated.

    Args:
        name: `module` for everything that `@task` has registered by then, or `module:object` for a `Tasks` registry
            of the module's own.

    Raises:
        InvalidArgument: there is no such module or object, or the module cannot be imported; says why.
    """
    module_name, colon, path = name.partition(":")
    if not _is_dotted(module_name) or (colon and not _is_dotted(path)):
        raise InvalidArgument(
            OPTION, name, "is not the name of a module, such as tasks, shop.tasks or shop:tasks"
        )
    module = _import(name, module_name)
    try:
        found = reduce(getattr, path.split("."), module) if path else TASKS
    except AttributeError as error:
        raise InvalidArgument(OPTION, name, f"does not exist: {error}") from None
    if not isinstance(found, Tasks):
        raise InvalidArgument(OPTION, name, f"is of type {type(found).__name__}, not a Tasks registry")
    if not len(found):
        problem = "registers no task" if path else f"registers no task with @task{_own_registries(module)}"
        raise InvalidArgument(OPTION, name, problem)
    return found


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _import(name: str, module: str) -> ModuleType:
    # As `python -m` does for the program itself: the user's module may lie in the current directory.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise InvalidArgument(OPTION, name, "is not a module that can be imported from here") from None
        raise InvalidArgument(OPTION, name, _why(error)) from error
    except Exception as error:
        raise InvalidArgument(OPTION, name, _why(error)) from error


def _why(error: Exception) -> str:
    """Say what an import stumbled over, and in which line of which file."""
    if isinstance(error, SyntaxError):
        place, text = f"{error.filename}, line {error.lineno}", error.msg
    else:
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
        ]
        # The user's own line says more than one of a library that it calls.
        own = [frame for frame in frames if Path(frame.filename).is_relative_to(Path.cwd())]
        last = (own or frames)[-1]
        place, text = f"{last.filename}, line {last.lineno}", " ".join(str(error).split())
    return f"cannot be imported: {type(error).__name__}: {text} ({place})"


def _own_registries(module: ModuleType) -> str:
    own = [name for name, value in vars(module).items() if isinstance(value, Tasks) and value is not TASKS]
    return f"; did you mean {module.__name__}:{own[0]}?" if own else ""
