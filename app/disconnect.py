"""Stops work that nobody waits for any more."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar, cast

from starlette.requests import Request

from app.errors import ClientGone

T = TypeVar("T")


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client disconnects; the body must have been read."""
    task, working, left = cast("asyncio.Task[object]", asyncio.current_task()), True, False

    def leave(_gone: "asyncio.Task[None]") -> None:
        nonlocal left
        if working:
            left = True
            task.cancel()

    gone = asyncio.create_task(_disconnected(request))
    gone.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if left and not task.uncancel():
            raise ClientGone("the client left before its answer") from None
        raise
    finally:
        working = False
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
