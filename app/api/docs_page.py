"""/docs: the API's description, to be read and tried out. Its scripts come from here, and nothing else runs on it."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

STATIC = "/static-offline-docs"
_INLINE = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def add_docs(app: FastAPI) -> None:
    """Add /docs with its scripts, and /openapi.json. Nothing comes from a CDN: shops' networks often reach none."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{app.title} - API",
        oauth2_redirect_url=None,
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
        swagger_ui_parameters=app.swagger_ui_parameters,
    )
    body = bytes(page.body)
    headers = {"Content-Security-Policy": _policy(body)}
    described: list[bytes] = []

    async def docs(_request: Request) -> Response:
        """Return the page."""
        return Response(body, headers=headers, media_type="text/html")

    async def openapi(_request: Request) -> Response:
        """Return the description, which never changes while we run. To make it takes a while."""
        if not described:
            described.append(await asyncio.to_thread(lambda: msgspec.json.encode(app.openapi())))
        return Response(described[0], media_type="application/json")

    app.mount(STATIC, StaticFiles(directory=_folder()), name="docs-scripts")
    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route("/openapi.json", openapi, include_in_schema=False)


def _folder() -> Path:
    return Path(str(fastapi_offline.__file__)).parent / "static"


def _policy(page: bytes) -> str:
    """Return which scripts may run: those of our own files, and those that stand in the page itself."""
    inline = (base64.b64encode(hashlib.sha256(text).digest()).decode() for text in _INLINE.findall(page))
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in inline)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
