"""Write docs/reference/ anew from the docstrings of the public names: one page for each module that defines some.

python scripts/reference.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
PACKAGE = "persistentq"
HEADINGS = {"parameters": "Arguments", "attributes": "Attributes", "raises": "Raises"}
LONGEST_LINE = 100
GOOGLE = {
    "returns_multiple_items": False,
    "returns_named_value": False,
    "warn_missing_types": False,
    # Those of a dataclass or a NamedTuple are its fields, which the parser does not take for parameters.
    "warn_unknown_params": False,
}


class Reference:
    """The pages, made from the source without running it."""

    def __init__(self, root: Path = ROOT) -> None:
        loader = griffe.GriffeLoader(search_paths=[root])
        package = loader.load(PACKAGE, try_relative_path=False)
        if not isinstance(package, griffe.Module):
            raise TypeError(f"{PACKAGE} is {package.kind.value}, not a package")
        loader.resolve_aliases()
        self._names = {str(name): _real(package[str(name)]) for name in package.exports or ()}
        self._modules: dict[str, griffe.Module] = {}
        for found in self._names.values():
            module = _home(found)
            known = self._modules.setdefault(module.name, module)
            if known is not module:
                raise ValueError(f"two modules would share the page {module.name}.md")

    def pages(self) -> dict[str, str]:
        """Return the text of each page by its file's name."""
        made = {f"{name}.md": self._page(module) for name, module in self._modules.items()}
        return made | {"index.md": self._index()}

    def _index(self) -> str:
        lines = [
            "# Reference",
            "",
            "Every public name of `persistentq`, made from its docstring by `make docs`.",
            "",
        ]
        for name, module in sorted(self._modules.items()):
            lines += [f"## [{name}]({name}.md)", ""]
            for found in self._defined_in(module):
                lines.append(f"- {self._linked(f'`{found.name}`', '')}: {_summary(found)}")
            lines.append("")
        return "\n".join(lines)

    def _page(self, module: griffe.Module) -> str:
        blocks = [f"# {module.name}", *_drawings(module)]
        for found in self._defined_in(module):
            blocks += [f"## {found.name}", *self._object(found)]
            if isinstance(found, griffe.Class):
                for member in self._documented(found):
                    blocks += [f"### {member.name}", *self._object(member)]
        return "\n\n".join(blocks) + "\n"

    def _defined_in(self, module: griffe.Module) -> list[griffe.Object]:
        """Return the public names of a module in the order in which it defines them."""
        mine = [found for found in self._names.values() if _home(found) is module]
        return sorted(mine, key=lambda found: (found.module.path, found.lineno or 0))

    def _documented(self, owner: griffe.Class) -> Iterator[griffe.Object]:
        """Yield the public members that have a docstring, but not what a public base has described already."""
        bases = owner.mro()
        public = [base for base in bases if base in self._names.values()]
        described = {name for base in public for name in base.all_members}
        seen = set(described)
        for part in (owner, *(base for base in bases if base not in public)):
            for name, member in part.members.items():
                if name.startswith("_") or name in seen or member.is_alias:
                    continue
                seen.add(name)
                if member.docstring and (member.is_function or "property" in member.labels):
                    yield _real(member)

    def _object(self, found: griffe.Object) -> Iterator[str]:
        """Yield the blocks that describe one thing."""
        yield f"```python\n{_signature(found)}\n```"
        if isinstance(found, griffe.Class) and (bases := self._bases(found)):
            named = " and ".join(f"`{base}`" for base in bases)
            yield f"Extends {self._linked(named, f'{_home(found).name}.md')}."
        yield from self._described(found)

    def _bases(self, found: griffe.Class) -> list[str]:
        """Return the names of the bases; for one that is not public, of the first public one behind it."""
        names = [str(base) for base in found.bases]
        hidden = [base.name for base in found.mro() if base.name in names and base.name not in self._names]
        behind = [base.name for base in found.mro() if base.name in self._names][:1] if hidden else []
        return [name for name in names if name not in hidden] + behind

    def _described(self, found: griffe.Object) -> Iterator[str]:
        """Yield the blocks of a docstring."""
        own = f"{_home(found).name}.md"
        for section in found.docstring.parse("google", **GOOGLE) if found.docstring else ():
            kind, value = section.kind.value, section.value
            if kind == "text":
                yield self._linked(value, own)
            elif kind == "returns":
                yield f"**Returns**: {self._linked(_returned(value[0], found), own)}"
            elif kind in HEADINGS:
                items = [f"- {self._linked(_item(one, section.kind, found), own)}" for one in value]
                yield "\n".join([f"**{HEADINGS[kind]}**", "", *items])
            else:
                raise ValueError(f"{found.path} has a section {kind!r} that the reference does not know")

    def _linked(self, text: str, own: str) -> str:
        """Make each public name that the text has in backquotes a link to its description."""

        def link(match: re.Match[str]) -> str:
            found = self._names.get(match[1])
            if found is None:
                return match[0]
            page = f"{_home(found).name}.md"
            return f"[{match[0]}]({'' if page == own else page}#{match[1].lower()})"

        return re.sub(r"(?<!`)`(\w+)`(?!`)", link, text)


def _real(found: Any) -> griffe.Object:
    target = found.final_target if found.is_alias else found
    if not isinstance(target, griffe.Object):
        raise TypeError(f"{found.path} leads to nothing that is described")
    return target


def _summary(found: griffe.Object) -> str:
    text = found.docstring.value if found.docstring else ""
    return " ".join(text.split("\n\n")[0].split())


def _home(found: griffe.Object) -> griffe.Module:
    """Return the module whose page describes a name: its own, or the package below the root that hands it on."""
    above = found.module.parent
    if (
        isinstance(above, griffe.Module)
        and above.parent is not None
        and found.name in map(str, above.exports or ())
    ):
        return above
    return found.module


def _drawings(module: griffe.Module) -> list[str]:
    """Return what a module's docstring draws; its words are for those who change the module."""
    text = module.docstring.value if module.docstring else ""
    return re.findall(r"^```\n.*?^```$", text, re.DOTALL | re.MULTILINE)


def _returned(value: griffe.DocstringReturn, found: griffe.Object) -> str:
    """Return what is said of the value: all of it, though the parser takes the words before a colon for its type."""
    says_type = isinstance(found, griffe.Function) and str(value.annotation) == str(found.returns)
    return value.description if says_type else f"{value.annotation}: {value.description}"


def _item(one: Any, kind: griffe.DocstringSectionKind, found: griffe.Object) -> str:
    """Return one line of a list: an argument, an attribute or an error, and what is said of it."""
    if kind is griffe.DocstringSectionKind.raises:
        shown = ", ".join(f"`{name}`" for name in str(one.annotation).strip("()").split(", "))
    else:
        # In bold, so that none is taken for a public name of the same spelling.
        shown = f"**{one.name}**"
    if kind is griffe.DocstringSectionKind.attributes:
        value = str(getattr(found.members.get(one.name), "value", ""))
        # Of an enumeration's member, what it stands for; it has no annotation.
        known = one.annotation or (value if value.startswith("'") else "")
        shown += f" ({known})" if known else ""
    return f"{shown}: {' '.join(one.description.split())}"


def _signature(found: griffe.Object) -> str:
    """Return how it is written in code, one argument a line if one line is too short."""
    if isinstance(found, griffe.Attribute):
        return f"{found.name}: {found.annotation}"
    if not isinstance(found, griffe.Class | griffe.Function):
        raise TypeError(f"{found.path} cannot be written as code")
    arguments = list(_arguments(found.parameters))
    if isinstance(found, griffe.Class) and not arguments:
        return f"class {found.name}"
    tail = f" -> {found.returns}" if isinstance(found, griffe.Function) else ""
    line = f"{found.name}({', '.join(arguments)}){tail}"
    if len(line) <= LONGEST_LINE:
        return line
    return "\n".join([f"{found.name}(", *(f"    {argument}," for argument in arguments), f"){tail}"])


def _arguments(parameters: griffe.Parameters) -> Iterator[str]:
    has_star = False
    for one in parameters:
        if one.name in {"self", "cls"}:
            continue
        if one.kind is griffe.ParameterKind.keyword_only and not has_star:
            has_star = True
            yield "*"
        default = "" if one.default is None else f" = {one.default}"
        yield f"{one.name}: {one.annotation}{default}"


def write(pages: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Write the pages, and take away those of names that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Reference().pages())
