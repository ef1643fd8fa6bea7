"""The page's modules over HTTP; what they do is tested in tests/js and in a browser."""

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from lmsteer_core.resources import ASSETS
from lmsteer_core.ui.page.modules import HEAD, module_route


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=[module_route()]))


def test_every_module_that_the_page_imports_is_served_as_javascript(client: TestClient) -> None:
    found, waiting = set(), re.findall(r"import\(\"\./modules/([^\"]+)\"\)", HEAD)
    assert waiting == ["main.js"]
    while waiting:
        name = waiting.pop()
        answer = client.get(f"/modules/{name}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
        found.add(name)
        waiting += set(re.findall(r"from \"\./([^\"]+)\"", answer.text)) - found
    assert found == {path.name for path in (ASSETS / "js").glob("*.js")}


def test_modules_are_found_behind_a_proxy_that_serves_the_app_under_a_path() -> None:
    for path in ("/modules/main.js", "/lmsteer/modules/main.js"):  # cut off, or not
        client = TestClient(Starlette(routes=[module_route()]), root_path="/lmsteer")
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("name", ["other.js", "types.d.ts", "..%2Fstyle.css", ""])
def test_nothing_but_modules_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/modules/{name}").status_code == 404


def test_a_browser_asks_whether_a_module_has_changed(client: TestClient) -> None:
    assert client.get("/modules/main.js").headers["cache-control"] == "no-cache"
