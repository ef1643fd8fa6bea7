"""The page's JavaScript: the ES modules of assets/js, served as they are."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from lmsteer_core.resources import ASSETS

HEAD = '<script>window.lmsteer = import("./modules/main.js");</script>'
"""Relative to the page, as Gradio's own files are: it holds behind any proxy and path.

A promise, because Gradio does not wait for modules: a script that calls one awaits it (`call_js`).
"""


def module_route() -> Route:
    """Return the route that the modules are loaded from; it needs no login, like the login page."""
    modules = {path.name: path for path in (ASSETS / "js").glob("*.js")}

    async def module(request: Request) -> Response:
        path = modules.get(request.path_params["name"])
        if path is None:
            return PlainTextResponse("There is no such module.", 404)
        # Asked for anew each time: modules of two versions never meet in a browser's cache.
        headers = {"Cache-Control": "no-cache"}
        return FileResponse(path, media_type="text/javascript", headers=headers)

    return Route("/modules/{name}", module)
