"""What the application may know of the connection that a request came on."""

import math
from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope

CONNECTION = "haste.connection"
"""The key of the scope's state under which the server tells of the connection; absent without our server."""


class ConnectionState(Protocol):
    """A connection of our server."""

    @property
    def spare(self) -> bool:
        """Whether it is one over the limit, on which only probes are answered."""

    @property
    def arrived(self) -> bool:
        """Whether the request has arrived whole."""

    @property
    def gone(self) -> bool:
        """Whether nobody will read an answer any more."""

    @property
    def answered_at(self) -> float:
        """When the answer before this request left, on the clock of time.perf_counter; -inf for the first one.

        A client that waits for its answers asked no sooner, and one that does not waits for its turn until then.
        """

    def watch(self, leave: Callable[[], None]) -> None:
        """Let `leave`, and no other from now on, be called once the client is gone."""


def connection_of(scope: Scope) -> ConnectionState | None:
    """The connection of a request; None where another server runs the application."""
    connection: ConnectionState | None = scope.get("state", {}).get(CONNECTION)
    return connection


def not_before(scope: Scope) -> float:
    """What a request cannot have come before, as far as its connection tells, on the clock of time.perf_counter."""
    connection = connection_of(scope)
    return -math.inf if connection is None else connection.answered_at


def has_arrived(scope: Scope) -> bool:
    """Whether it is known that the request is there whole."""
    connection = connection_of(scope)
    return connection is not None and connection.arrived
