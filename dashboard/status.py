"""How the office is: for `/readyz`, `faregate doctor`, and whoever wonders."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.problems import refuse_unknown


async def status(request: Request) -> Response:
    """`GET /api/v1/status`. It answers whatever is broken."""
    refuse_unknown(request.query_params, (), "parameter")
    return JSONResponse(
        await run_in_threadpool(request.app.state.status) | {"live": {"listeners": request.app.state.live.listeners}}
    )


ROUTES = [Route("/api/v1/status", status)]
