"""Three hundred texts that attack whatever shows them."""

from __future__ import annotations

import random

ESCAPES = (
    *("\x1b[31mred", "\x1b[2J", "\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\"),
    *("\x1b[?1049h", "\x1b[6n", "\x1bc", "\x1b[8m", "\x1bPq#0\x1b\\", "\x1b_G\x1b\\", "\x1b[201~", "\x1b(0"),
)
CONTROLS = tuple(map(chr, [*range(1, 32), 127, *range(128, 160)]))
INVISIBLE = tuple(
    "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
    "\u00ad\u034f\u061c\u115f\u180e\u2028\u2029\u3164\ufff9\ufffa\ufffb\ue000\U000e0041\U000e007f\U0010ffff"
)
MARKUP = (
    *(
        "[bold]x[/bold]",
        "[/]",
        "[link=file:///etc/passwd]x[/link]",
        ":smile:",
        "[red",
        "{x}",
        "{0.__class__}",
    ),
    *(
        "<b>x</b>",
        "<script>alert(1)</script>",
        "<style>*{}</style>",
        "&lt;",
        "%s%n",
        "$(id)",
        "`id`",
        "${IFS}",
    ),
    *("**x**", "[x](javascript:alert(1))", "$x$", "![x](http://x)"),
)
SQL = (
    *(
        "'; DROP TABLE persistentq_jobs; --",
        "' OR '1'='1",
        '" OR ""="',
        "%",
        "_",
        "\\",
        "\\'",
        "*",
        "?",
        ":id",
    ),
    *("%(id)s", "1; SELECT 1", "NULL", "null", "{}", "[]", "0", "-1", "1e999", "NaN", "true"),
)
FORMULAS = ("=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "'=1", "''=1")
QUERIES = ("status:failed", 'error:"', "(", ")", "OR", "NOT", "-", "--", "--help", "-o", "age>", 'a"b', "a\\")
SIZES = ("x" * 10_000, "日本" * 5_000, "\x1b[31m" * 2_000, "e\u0301" * 1_000, "\u0489" * 500, "😀" * 500)
LINES = (
    "a\nb",
    "\n",
    "\r\n",
    "a\rb",
    "\n\n\n",
    "a\n\x1b[1A\x1b[2Kb",
    "error: no\nhint: no",
    "tab\there",
    " ",
)
WIDE = (
    "日本語",
    "한국어",
    "😀\U0001f469\u200d\U0001f467",
    "🇩🇪",
    "ﷺ",
    "\u202ertl",
    "\uff46\uff55",
    "\u0301alone",
    "é",
    "e\u0301",
)
UNSTORABLE = ("\0", "a\0b", "\ud800", "a\udcffb", "\udfff\ud800")

GROUPS = (ESCAPES, CONTROLS, INVISIBLE, MARKUP, SQL, FORMULAS, QUERIES, SIZES, LINES, WIDE, UNSTORABLE)
NUMBER = 300


def hostile_texts() -> list[str]:
    """Return each text above, and mixtures of them until there are three hundred; the same each time."""
    single = [text for group in GROUPS for text in group]
    chance = random.Random(1)
    short = [text for text in single if len(text) < 100]
    mixed = {"".join(chance.choices(short, k=chance.randint(2, 5))) for _ in range(NUMBER)}
    return list(dict.fromkeys([*single, *sorted(mixed)]))[:NUMBER]


MIXED = "".join(group[0] for group in GROUPS if group not in (SIZES, UNSTORABLE))
