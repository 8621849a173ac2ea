"""Routes of the pages for people: where everything is, and the interactive documentation with its own assets."""

from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from app.core.errors import NotFound
from app.core.http import Route

router = APIRouter(include_in_schema=False, route_class=Route)

PAGES = files("app.explorer")
KINDS = {"css": "text/css", "js": "text/javascript", "html": "text/html"}
POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:"
"""No page of ours asks anybody else for anything: who reads this site is nobody's business."""


@router.get("/")
async def get_front_page() -> Response:
    """Show a visitor where everything is."""
    text = (PAGES / "pages" / "index.html").read_text(encoding="utf-8")
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})


@router.get("/docs")
async def get_docs(request: Request) -> Response:
    """Show the interactive documentation."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{request.app.title} API",
        swagger_js_url="/assets/swagger-ui-bundle.js",
        swagger_css_url="/assets/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    page.headers["Content-Security-Policy"] = POLICY
    return page


@router.get("/assets/{name}")
async def get_asset(name: str) -> Response:
    """Answer one of the files that the pages need."""
    kind = KINDS.get(name.rpartition(".")[2])
    asset = PAGES / "assets" / name
    if kind is None or "/" in name or not asset.is_file():
        raise NotFound
    return Response(asset.read_bytes(), media_type=kind, headers={"Cache-Control": "public, max-age=86400"})
