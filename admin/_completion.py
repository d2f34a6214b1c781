"""completion: the shell's part of it as a script, and the answer to what that script asks.

Typer has scripts of its own. They know programs of one word only, and zsh's evaluates what is offered, so that the text
of a job could run as a command. Here the shell gets lines, each a word, a tab and what it is, and evaluates none.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from persistentq.launch import PROGRAMS, SHORT
from persistentq.operations import safe

LINE = "_PERSISTENTQ_LINE"
"""The variable in which a script gives the line up to the cursor."""

LONGEST_S = 5.0
"""Whoever presses the tab key waits: a database that cannot be reached must not hold them up."""

_BASH = r"""
_persistentq() {
    local line=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]} cut= value text
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W '@PROGRAMS@' -- "$word")
        return
    fi
    [[ ${COMP_WORDS[1]} == @(@HERE@) ]] || return
    # To bash a word that is not quoted begins anew behind each colon and equals sign.
    if [[ $word != [\'\"]* ]]; then
        value=${line##*[[:space:]]}
        cut=${value%"${value##*[:=]}"}
    fi
    while IFS=$'\t' read -r value text; do
        [[ $value == *[.:=\<\>] ]] && compopt -o nospace
        COMPREPLY+=("${value#"$cut"}")
    done < <(@LINE@=$line "${COMP_WORDS[0]}" admin 2>/dev/null)
}
complete -o default -F _persistentq persistentq
"""
_ZSH = r"""
#compdef persistentq
_persistentq() {
    local value text
    local -a values shown open open_shown
    if ((CURRENT == 2)); then
        compadd -- @PROGRAMS@
        return
    fi
    [[ ${words[2]} == (@HERE@) ]] || { _files; return }
    while IFS=$'\t' read -r value text; do
        if [[ $value == *[.:=\<\>] ]]; then
            open+=("$value") open_shown+=("$value  $text")
        else
            values+=("$value") shown+=("$value  $text")
        fi
    done < <(@LINE@="${(j: :)words[1,CURRENT]}" "${words[1]}" admin 2>/dev/null)
    (($#values + $#open)) || { _files; return }
    compadd -l -d shown -a -- values
    compadd -l -S '' -d open_shown -a -- open
}
compdef _persistentq persistentq
"""
_FISH = r"""
complete --command persistentq --no-files --condition '__fish_is_nth_token 1' --arguments '@PROGRAMS@'
complete --command persistentq --condition '__fish_seen_subcommand_from @HERE_WORDS@' \
    --arguments '(env @LINE@=(commandline -cp | string collect) persistentq admin 2>/dev/null)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

Shell = Annotated[
    Literal["bash", "zsh", "fish"],
    typer.Argument(metavar="SHELL", help="bash, zsh or fish.", show_default=False),
]


def completion(shell: Shell) -> None:
    """Print what lets a shell complete `persistentq`: commands, options, ids of jobs, names, terms of queries.

    For bash, this goes into ~/.bashrc: eval "$(persistentq admin completion bash)"
    """
    script = _SCRIPTS[shell].lstrip()
    here = ["admin", *SHORT]
    words = {
        "@PROGRAMS@": " ".join([*PROGRAMS, *SHORT]),
        "@HERE@": "|".join(here),
        "@HERE_WORDS@": " ".join(here),
        "@LINE@": LINE,
    }
    for name, text in words.items():
        script = script.replace(name, text)
    sys.stdout.write(script)


def answer(app: typer.Typer, program: str, line: str) -> int:
    """Write what may follow a line, one word and what it is in each of ours; return the exit code."""
    # Killed without a word, as the default is: a late answer helps nobody.
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        words, incomplete = _split(line)
        sys.stdout.writelines(f"{word}\t{text}\n" for word, text in _offers(app, program, words, incomplete))
        sys.stdout.flush()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return 0


def _split(line: str) -> tuple[list[str], str]:
    """Return the words behind the program's name, and the one that is being typed, as far as it is."""
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words.extend(lexer)
    except ValueError:
        # In the midst of a quotation.
        words.append(lexer.token or "")
    else:
        if not words or line[-1:].isspace():
            words.append("")
    known = words[2:] if words[1:2] == ["admin"] else words[1:]
    return known[:-1], known[-1] if known else ""


def _offers(app: typer.Typer, program: str, words: list[str], incomplete: str) -> Iterator[tuple[str, str]]:
    # Typer has no public way to ask; how this class would print the answers is not used.
    from typer._completion_classes import BashComplete

    found = BashComplete(typer.main.get_command(app), {}, program, LINE)
    for item in found.get_completions(words, incomplete):
        # Files are the shell's own business.
        if item.type == "plain" and safe(item.value) == item.value:
            yield item.value, safe(item.help)


def asked_line() -> str | None:
    """Return the line that a shell's script asks about; None if none does."""
    return os.environ.get(LINE)
