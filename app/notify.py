"""The protocol of a supervisor that waits to be told (systemd's sd_notify): lines in a datagram.

Own code, since it is ten lines: of the packages that speak it, `sdnotify` has had no release since 2017 and knows no
watchdog, and `systemd-python` needs a compiler and systemd's headers.
"""

import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger(__name__)


class Notifier:
    """Tells the supervisor; where there is none, nothing happens.

    watchdog_seconds: the supervisor ends the process after so long without `WATCHDOG=1`; None: never.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        """`address`: a path, or a name that begins with @ (Linux's abstract sockets). ValueError for another."""
        if address is not None and address[:1] not in ("/", "@"):
            raise ValueError(f"NOTIFY_SOCKET must begin with / or @, not {address!r}")
        self._address = None if address is None else address.replace("@", "\0", 1) if address[0] == "@" else address
        self.watchdog_seconds = watchdog_seconds if address is not None else None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Notifier":
        """As the supervisor said in the environment. ValueError names the variable that does not fit."""
        return cls(environment.get("NOTIFY_SOCKET") or None, _watchdog(environment))

    @property
    def listened(self) -> bool:
        """Whether there is a supervisor."""
        return self._address is not None

    def tell(self, **state: str) -> None:
        """Send `NAME=value` for each; what cannot be sent is logged, since the service goes on without."""
        if self._address is None:
            return
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in state.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            _log.warning("the supervisor was not told %r: %s", text, error.strerror)


def _watchdog(environment: Mapping[str, str]) -> float | None:
    text, process = environment.get("WATCHDOG_USEC"), environment.get("WATCHDOG_PID")
    if not text or process not in (None, "", str(os.getpid())):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0):
        raise ValueError(f"WATCHDOG_USEC must be a number of microseconds, not {text!r}")
    return int(text) / 1e6
