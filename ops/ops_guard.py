"""Who may reach the dashboard: this machine alone, as long as it has no password."""

from __future__ import annotations

from ipaddress import ip_address

HINT = "leave server.address at 127.0.0.1; from elsewhere, use ssh -L 8501:127.0.0.1:8501"


def refusal(address: str | None) -> str | None:
    """Return why the dashboard must not listen on `address`, or None if it may.

    Args:
        address: Streamlit's `server.address`; None means every network interface.
    """
    if address == "localhost":
        return None
    try:
        if address and ip_address(address).is_loopback:
            return None
    except ValueError:
        pass
    where = f"address {address!r}" if address else "every network address"
    return f"the dashboard has no password, so it does not listen on {where}"
