"""The page for people: its files are a fixed list, small, of this box alone, and open to everybody."""

import re
from pathlib import Path

import pytest

from app.routes.page import FOLDER, page_files, sample_files
from tests.app.harness import Client, FakeEngine, serving

MAX_BYTES = 100_000
TEXTS = {name: file.content.decode() for name, file in page_files().items()}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}


def test_the_page_is_served_at_the_root(client: Client) -> None:
    answer = client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text == TEXTS["index.html"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *((f"/page/{name}", {".js": "text/javascript", ".css": "text/css"}.get(Path(name).suffix)) for name in TEXTS),
        *((f"/samples/{name}", "image/jpeg") for name in sample_files()),
    ],
)
def test_every_file_has_its_type_and_is_sent_whole_and_only_when_it_changed(
    client: Client, path: str, kind: str | None
) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert kind is None or answer.headers["content-type"].split(";")[0] == kind
    again = client.get(path, headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    head = client.request("HEAD", path)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))


def test_the_browser_is_told_to_load_nothing_from_elsewhere_and_to_run_nothing_inline(client: Client) -> None:
    for path in ("/", "/page/main.js", "/samples/cat.jpg"):
        headers = client.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["img-src"] == "'self' blob:"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-cache"


def test_nothing_beside_the_list_can_be_asked_for(client: Client) -> None:
    paths = ("/page/nope.js", "/page/..%2Fmain.py", "/page/", "/samples/README", "/samples/%2Fetc%2Fpasswd")
    assert [client.get(path).status_code for path in paths] == [404] * len(paths)
    assert client.request("POST", "/").status_code == 405


def test_names_of_files_are_no_labels(client: Client) -> None:
    for name in ("main.js", "a.js", "b.js"):
        client.get(f"/page/{name}")
    assert client.sample("haste_http_requests_total", route="/page/{name}", method="GET", code="200") == 1
    assert client.sample("haste_http_requests_total", route="/page/{name}", method="GET", code="404") == 2


def test_the_page_needs_no_key_and_is_there_before_a_model_is() -> None:
    engine = FakeEngine()
    engine.gate.clear()
    with serving(engine, ready=False, data_key="0123456789abcdef", admin_key="fedcba9876543210") as client:
        assert client.get("/models").status_code == 401
        assert [client.get(path).status_code for path in ("/", "/page/main.js", "/samples/cat.jpg")] == [200] * 3


def test_the_page_is_not_in_the_documentation(client: Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith(("/page", "/samples"))]


def test_html_css_and_scripts_are_small() -> None:
    assert sum(len(file.content) for file in page_files().values()) < MAX_BYTES
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == set(TEXTS)


def test_every_file_that_is_referenced_exists_and_every_file_is_referenced() -> None:
    html = set(re.findall(r'(?:src|href)="page/([^"#]+)', TEXTS["index.html"]))
    imports = {name for text in SCRIPTS.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert html | imports | {"index.html"} == set(TEXTS)
    samples = re.search(r"SAMPLES = \[(.*?)\]", SCRIPTS["picture.js"])
    assert samples is not None
    assert {f"{name}.jpg" for name in re.findall(r'"(\w+)"', samples[1])} == set(sample_files())


def test_every_element_that_a_script_asks_for_exists_once() -> None:
    made = re.findall(r'\bid="([^"]+)"', TEXTS["index.html"])
    assert len(made) == len(set(made))
    asked = {name for text in SCRIPTS.values() for name in re.findall(r'\$\("([\w-]+)"\)', text)}
    assert asked <= set(made)
    referenced = re.findall(r'(?:aria-labelledby|aria-describedby|for)="([^"]+)"', TEXTS["index.html"])
    assert {name for names in referenced for name in names.split()} <= set(made)


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for name, text in TEXTS.items():
        urls = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`]*", text))
        assert urls <= {"http://www.w3.org/2000/svg"}, name  # the name of SVG, which nothing is loaded from
    html = TEXTS["index.html"]
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html) == []
    for text in SCRIPTS.values():
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|\beval\(|new Function|document\.write", text)
        assert not re.search(r"localStorage|document\.cookie", text)
