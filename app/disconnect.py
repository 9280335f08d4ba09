"""Stops work that nobody waits for any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from starlette.requests import Request

from app.connection_state import connection_of
from app.errors import ClientGone

T = TypeVar("T")


async def until_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client disconnects; the body must have been read.

    ClientGone where it has; then nothing is begun where that is known before.
    """
    connection, left = connection_of(request.scope), ClientGone("the client left before its answer")
    if connection is not None and connection.gone:
        work.close()
        raise left
    task = cast("asyncio.Task[object]", asyncio.current_task())
    working, leaving = True, False

    def leave() -> None:
        nonlocal leaving
        if working and not leaving:
            leaving = True
            task.cancel()

    told = None  # without our server around the application, ASGI tells it, to a task that waits for that
    if connection is not None:
        connection.watch(leave)
    else:
        told = asyncio.create_task(_disconnected(request))
        told.add_done_callback(lambda _told: leave())
    try:
        return await work
    except asyncio.CancelledError:
        if leaving and not task.uncancel():
            raise left from None
        raise
    finally:
        working = False
        if told is not None:
            told.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
