"""Words to systemd: ready, alive, reloading, stopping (sd_notify, without its library)."""

from __future__ import annotations

import os
import socket
import time

PATIENCE_S = 1.0
"""A socket that nobody reads is full after some ten messages: it must not hold us up."""


def notify(*lines: str) -> None:
    """Send lines such as READY=1 to the socket that systemd names; nothing happens where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.sendall("\n".join(lines).encode())
    except OSError:
        pass  # systemd will find out by its own time limits


def watchdog_s() -> float | None:
    """Return how long systemd waits for a sign of life, None where it does not watch this process."""
    owner = os.environ.get("WATCHDOG_PID")
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if owner not in (None, str(os.getpid())) or not microseconds.isdigit():
        return None
    return int(microseconds) / 1e6


def reloading() -> None:
    """Say that a reload begins; READY=1 ends it."""
    notify("RELOADING=1", "WATCHDOG=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
