"""Stops work that nobody waits for any more."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from starlette.requests import Request

from app.connection_state import connection_of
from app.errors import ClientGone

T = TypeVar("T")


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client disconnects; the body must have been read."""
    task, working, left = cast("asyncio.Task[object]", asyncio.current_task()), True, False

    def leave() -> None:
        nonlocal left
        if working:
            left = True
            task.cancel()

    connection = connection_of(request.scope)
    stop = _watched(request, leave) if connection is None else connection.watch(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if left and not task.uncancel():
            raise ClientGone("the client left before its answer") from None
        raise
    finally:
        working = False
        stop()


def _watched(request: Request, leave: Callable[[], None]) -> Callable[[], None]:
    """Without our server around the application: the same as ASGI tells it, by a task. Returns what ends that."""
    gone = asyncio.create_task(_disconnected(request))
    gone.add_done_callback(lambda _gone: leave())

    def stop() -> None:
        gone.cancel()

    return stop


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
