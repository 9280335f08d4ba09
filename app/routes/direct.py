"""Routes whose endpoints take the request and give the response."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, request_response


class DirectRoute(APIRoute):
    """Described like any other, but served as Starlette would: nothing is left to FastAPI, and to find that is slow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = request_response(self.endpoint)


def fixed_paths(routes: Iterable[BaseRoute]) -> Mapping[tuple[str, str], DirectRoute]:
    """By method and path, those whose path has no parameters: a router would find no other for it."""
    direct = (route for route in routes if isinstance(route, DirectRoute) and not route.param_convertors)
    return {(method, route.path): route for route in direct for method in route.methods or ()}
