"""Makes manager.gif beside this file: the manager at work on a queue that a real consumer works on, too.

Run it in the checkout's environment: `python docs/screenshots/manager_recording.py`. It needs chromium and a minute.
"""

from __future__ import annotations

import io
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from manager_shot import System, draw
from PIL import Image
from pyte.graphics import FG_AIXTERM, FG_ANSI
from rich.style import Style
from rich.text import Text

from persistentq import PersistentQInterface, open_queue
from tests.front_ends.pseudo_terminal import SETTLED, PseudoTerminal, Row, a_manager

if TYPE_CHECKING:
    from pyte.screens import Char

RECORDING = Path(__file__).with_name("manager.gif")
COLUMNS, LINES = 120, 30
SCALE = 0.75
COLOURS = 64
BEHIND = "#292929"
"""The colour of the window: behind its round corners there is no white on a dark page, and no black on a light one."""

MAIL_ERROR = "ConnectionRefusedError: smtp.example.org:25"
KEY, LETTER = 0.2, 0.1
"""So many seconds each is looked at."""

SEQUENCES = {"enter": "\r", "escape": "\x1b", "space": " ", "down": "\x1b[B"}
"""What a terminal sends for the keys that are no letters, by the names that manager/keys.py has for them."""

NAMED = {*FG_ANSI.values(), *FG_AIXTERM.values()}
"""The colours for which pyte has names; others are six hexadecimal digits."""


class Step(NamedTuple):
    """Keys, pressed one after the other; then something typed; then a look at what came of it.

    Attributes:
        seen: Words that are on the screen before the look begins.
        seconds: How long the look is.
    """

    keys: tuple[str, ...] = ()
    typed: str = ""
    seen: tuple[str, ...] = ()
    seconds: float = 0.0


STORY = (
    Step(seconds=1.2),
    Step(("down", "down", "down"), seconds=0.6),
    Step(("/",), "status:failed task:mail.*", seconds=0.4),
    Step(("enter",), seen=("list-jobs --where",), seconds=0.8),
    Step(("enter",), seconds=0.8),
    Step(("enter",), seen=("2 of 2",), seconds=1.6),
    Step(("]", "]", "]"), seconds=0.5),
    Step(("space", "space", "space"), seconds=0.5),
    Step(("R",), seen=("Make 3 jobs pending again?",), seconds=1.4),
    Step(("r",), "smtp is back", seconds=0.5),
    Step(("enter", "y"), seen=("resubmit worked for 3 jobs",), seconds=1.6),
    Step(("z",), seen=("Take back",), seconds=1.3),
    Step(("y",), seen=("undo worked for 3 jobs",), seconds=1.4),
    Step(("2",), seen=("urgency",), seconds=2.0),
    Step(("?",), seen=("this help",), seconds=2.0),
)


def main() -> None:
    """Run the system, play the story and make the recording."""
    # Not the system's folder for temporary files: its path would be in the picture.
    with tempfile.TemporaryDirectory(prefix="persistentq-", dir="/tmp") as folder, ExitStack() as running:
        system = System(Path(folder))
        queue = running.enter_context(open_queue(f"sqlite:///{folder}/queue.db"))
        _send_mail(queue)
        system.keep_running(
            running, "consumer.consumer", "--consumer-id", "consumer_00", "--fail-rate", "0.1"
        )
        system.start("producer.producer", "--count", "9", "--interval", "0.1").wait()
        system.keep_running(running, "producer.producer", "--interval", "0.8")
        terminal = running.enter_context(a_manager(Path(folder, "queue.db"), (COLUMNS, LINES), Path(folder)))
        terminal.wait_for_text("1 of 1 consumers alive", "consumer_00")
        film = Film(terminal)
        for step in STORY:
            film.play(step)
    _save(film)


def _send_mail(queue: PersistentQInterface) -> None:
    """Have mail that was sent, mail that failed twice, and mail that nobody sends."""
    for number, name in enumerate(("ada", "grace", "alan", "edsger", "barbara", "donald")):
        args = {"to": f"{name}@example.org", "invoice": 4711 + number}
        queue.enqueue("mail.send", args, queue="mail", max_attempts=2)
    for job in queue.dequeue("mailer_00", queues=["mail"], limit=2):
        queue.complete(job)
    for is_last in (False, True):
        for job in queue.dequeue("mailer_00", queues=["mail"], limit=4):
            queue.fail(job, MAIL_ERROR, delay=timedelta(), retry=not is_last)


@dataclass
class Film:
    """What was on the screen, and for how many seconds."""

    terminal: PseudoTerminal
    screens: list[tuple[Row, ...]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def play(self, step: Step) -> None:
        """Do the step, and record it; time in which the manager is waited for is left out."""
        for key in (*step.keys, *step.typed):
            self.terminal.press(SEQUENCES.get(key, key))
            self._look(LETTER if key in step.typed else KEY)
        self.terminal.wait_for_text(*step.seen)
        self._look(step.seconds)

    def _look(self, seconds: float) -> None:
        for _ in range(round(seconds / SETTLED)):
            screen = self.terminal.settled()
            if self.screens and screen == self.screens[-1]:
                self.seconds[-1] += SETTLED
            else:
                self.screens.append(screen)
                self.seconds.append(SETTLED)


def as_text(screen: tuple[Row, ...]) -> Text:
    """Return a screen as Rich knows it."""
    lines = []
    for row in screen:
        # Together, for Rich underlines no space that stands alone.
        same = groupby(row, lambda cell: cell._replace(data=""))
        lines.append(
            Text.assemble(*(("".join(cell.data for cell in cells), _style(look)) for look, cells in same))
        )
    # Rich cuts off the feet of the last line.
    return Text("\n").join([*lines, Text()])


def _style(look: Char) -> Style:
    return Style(
        color=_colour(look.fg),
        bgcolor=_colour(look.bg),
        bold=look.bold,
        underline=look.underscore,
        reverse=look.reverse,
    )


def _colour(name: str) -> str:
    """Return Rich's name of a colour of pyte's."""
    if name not in NAMED:
        return f"#{name}"
    return name.replace("brown", "yellow").replace("bright", "bright_")


def _save(film: Film) -> None:
    frames = [_opaque(picture) for picture in draw(map(as_text, film.screens), COLUMNS, SCALE)]
    # By default the colours that are most frequent are chosen, and those of the states are not.
    palette = _montage(frames).quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    first, *others = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    first.save(
        RECORDING,
        save_all=True,
        append_images=others,
        duration=[round(seconds * 1000) for seconds in film.seconds],
        loop=0,
        optimize=True,
    )


def _opaque(picture: bytes) -> Image.Image:
    window = Image.open(io.BytesIO(picture)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", window.size, BEHIND), window).convert("RGB")


def _montage(frames: list[Image.Image]) -> Image.Image:
    """Return some of the frames in one, for the colours of all."""
    some = frames[:: max(1, len(frames) // 12)]
    width, height = some[0].size
    montage = Image.new("RGB", (width, height * len(some)))
    for number, frame in enumerate(some):
        montage.paste(frame, (0, height * number))
    return montage


if __name__ == "__main__":
    main()
