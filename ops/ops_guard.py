"""Who may reach the dashboard, and as what: this machine alone, or whoever knows a password."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from enum import StrEnum
from hmac import compare_digest
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from persistentq.settings import Settings

HINT = (
    "set OPS_PASSWORD, or leave server.address at 127.0.0.1 and, from elsewhere, "
    "use ssh -L 8501:127.0.0.1:8501"
)
OPEN_PATHS = frozenset({"/healthz"})
"""What tells nothing but whether the dashboard works, so that a load balancer needs no password."""

ROLE, NAME = "X-Persistentq-Role", "X-Persistentq-Name"
"""How the guard tells the pages who visits; what a visitor sends under these names is thrown away."""


class Role(StrEnum):
    """What a visitor may do: a viewer only looks."""

    OPERATOR = "operator"
    VIEWER = "viewer"


class Visitor(NamedTuple):
    """Who visits; the name is what was typed beside the password, empty if none was."""

    role: Role
    name: str = ""


class Keys(NamedTuple):
    """The passwords; None for a role that nobody has."""

    operator: str | None = None
    viewer: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> Keys:
        """Return those of the settings."""
        return cls(settings.ops_password, settings.ops_viewer_password)

    def opened_by(self, authorization: str | None) -> Visitor | None:
        """Return who sends this `Authorization` header; None if it opens nothing."""
        if not any(self):
            return Visitor(Role.OPERATOR)
        try:
            scheme, _, encoded = (authorization or "").partition(" ")
            name, colon, password = b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        if scheme.lower() != "basic" or not colon:
            return None
        for role, key in ((Role.OPERATOR, self.operator), (Role.VIEWER, self.viewer)):
            if key and compare_digest(password.encode(), key.encode()):
                return Visitor(role, name)
        return None


def refusal(address: str | None, keys: Keys) -> str | None:
    """Return why the dashboard must not listen on `address`, or None if it may.

    Args:
        address: Streamlit's `server.address`; None means every network interface.
    """
    if keys.operator and keys.operator == keys.viewer:
        return "OPS_PASSWORD and OPS_VIEWER_PASSWORD are the same, so nobody could be told apart"
    if any(keys) or address == "localhost":
        return None
    try:
        if address and ip_address(address).is_loopback:
            return None
    except ValueError:
        pass
    where = f"address {address!r}" if address else "every network address"
    return f"the dashboard has no password, so it does not listen on {where}"


def visitor(headers: Mapping[str, str], keys: Keys) -> Visitor:
    """Return whom the guard has let in, from the headers that a page sees."""
    if role := headers.get(ROLE):
        return Visitor(Role(role), headers.get(NAME) or "")
    return Visitor(Role.VIEWER if any(keys) else Role.OPERATOR)


class Guard:
    """Lets in who comes from the dashboard's own pages and knows a password if there is one; WebSockets too."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on with who sends it."""
        if scope["type"] in {"http", "websocket"} and scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            who = self._keys.opened_by(headers.get("authorization"))
            if (refused := _refused(headers, who)) is not None:
                await refused(scope, receive, send)
                return
            if who is not None:
                scope = _told(scope, who)
        await self._app(scope, receive, send)


def _refused(headers: Headers, who: Visitor | None) -> Response | None:
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return PlainTextResponse("another site's page may not ask here\n", 403)
    if who is None:
        ask = {"WWW-Authenticate": 'Basic realm="persistentq", charset="UTF-8"'}
        return PlainTextResponse("the password is asked for\n", 401, ask)
    return None


def _told(scope: Scope, who: Visitor) -> Scope:
    scope = {**scope, "headers": list(scope["headers"])}
    headers = MutableHeaders(scope=scope)
    for name, value in ((ROLE, who.role), (NAME, who.name)):
        del headers[name]
        headers[name] = value.encode("ascii", "replace").decode()
    return scope
