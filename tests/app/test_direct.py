"""Routes that are served without the router: the same answers, errors and counts as through it."""

import httpx
import pytest

from app.routes.direct import fixed_paths
from tests.app.harness import Client, encoded

PNG = encoded()


def test_the_path_of_every_image_is_among_them_and_none_with_parameters(client: Client) -> None:
    found = fixed_paths(client.app.router.routes)
    assert ("POST", "/classify") in found
    assert all("{" not in path for _, path in found)


@pytest.mark.parametrize("prefix", ["", "/behind"])
def test_behind_a_prefix_the_router_finds_the_same(client: Client, prefix: str) -> None:
    transport = httpx.ASGITransport(client.app, raise_app_exceptions=False, root_path=prefix)

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            path = f"{prefix}/classify"
            return [await http.post(path, content=PNG), await http.post(path, content=b"no image")]

    answers = client.run(ask)
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].headers["Content-Type"] == "application/problem+json"
    labels = {"route": "/classify", "method": "POST"}
    assert client.sample("haste_http_requests_total", **labels, code="200") == 1
    assert client.sample("haste_http_requests_total", **labels, code="400") == 1
