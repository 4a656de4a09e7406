"""Budgets: set, list, show and remove them, add to a limit for a time, and see the warnings that were given."""

from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashboard.budget_book import BudgetBook
from dashboard.budget_fields import FIELDS, asked_budget, money, whole_number
from dashboard.budget_json import MOST_WARNINGS, Budgets, budget_json, raise_json, warning_json
from dashboard.problems import Problem, json_object, refuse_unknown
from domain.budget_text import MOST_COUNT, MOST_NANO
from domain.budgets import Budget
from domain.windows import window_of
from storage.budgets import Raised

MOST_WINDOWS = 1000
LONGEST_REASON = 500


async def list_budgets(request: Request) -> Response:
    """`GET /api/v1/budgets`."""
    refuse_unknown(request.query_params, (), "parameter")
    budgets = _budgets(request)
    return JSONResponse({"budgets": await run_in_threadpool(lambda: [budget_json(budgets, one) for one in budgets.book.all()])})


async def one_budget(request: Request) -> Response:
    """`GET /api/v1/budgets/{id}`: with its members, what was added to its limit, and its last warnings."""
    refuse_unknown(request.query_params, (), "parameter")
    return JSONResponse(await run_in_threadpool(_whole, _budgets(request), request.path_params["id"]))


async def set_budget(request: Request) -> Response:
    """`POST /api/v1/budgets`: set a budget, in the place of the one with the same scope, window and unit."""
    budgets = _budgets(request)
    asked = asked_budget(await json_object(request, FIELDS))
    return JSONResponse(await run_in_threadpool(_set, budgets, asked))


async def remove_budget(request: Request) -> Response:
    """`DELETE /api/v1/budgets/{id}`. What was spent stays known: set again, the budget goes on from there."""
    return JSONResponse(await run_in_threadpool(_remove, _budgets(request), request.path_params["id"]))


async def raise_limit(request: Request) -> Response:
    """`POST /api/v1/budgets/{id}/raises`: add to the limit, for this window and the next ones."""
    body = await json_object(request, ("amount_usd", "amount", "windows", "reason"))
    return JSONResponse(await run_in_threadpool(_raise, _budgets(request), request.path_params["id"], body))


async def take_back(request: Request) -> Response:
    """`DELETE /api/v1/budgets/{id}/raises`: the limit alone holds again."""
    return JSONResponse(await run_in_threadpool(_take_back, _budgets(request), request.path_params["id"]))


async def list_warnings(request: Request) -> Response:
    """`GET /api/v1/budgets/{id}/warnings`, the newest first."""
    refuse_unknown(request.query_params, (), "parameter")
    book, id_ = _budgets(request).book, request.path_params["id"]
    warnings = await run_in_threadpool(book.store.warnings, id_, most=MOST_WARNINGS)
    return JSONResponse({"warnings": [warning_json(warning) for warning in warnings]})


ROUTES = [
    Route("/api/v1/budgets", list_budgets, methods=["GET"]),
    Route("/api/v1/budgets", set_budget, methods=["POST"]),
    Route("/api/v1/budgets/{id}", one_budget, methods=["GET"]),
    Route("/api/v1/budgets/{id}", remove_budget, methods=["DELETE"]),
    Route("/api/v1/budgets/{id}/raises", raise_limit, methods=["POST"]),
    Route("/api/v1/budgets/{id}/raises", take_back, methods=["DELETE"]),
    Route("/api/v1/budgets/{id}/warnings", list_warnings, methods=["GET"]),
]


def _budgets(request: Request) -> Budgets:
    budgets: Budgets = request.app.state.budgets
    return budgets


def _whole(budgets: Budgets, id_: str) -> dict[str, Any]:
    budget = _existing(budgets.book, id_)
    raises = budgets.book.store.raises().get(budget.id, ())
    warnings = budgets.book.store.warnings(budget.id, most=MOST_WARNINGS)
    return budget_json(budgets, budget) | {
        "raises": [raise_json(raised, budget.unit) for raised in raises],
        "warnings": [warning_json(warning) for warning in warnings],
    }


def _existing(book: BudgetBook, id_: str) -> Budget:
    for budget in book.all():
        if budget.id == id_:
            return budget
    raise Problem(404, "There is no budget with this id.")


def _set(budgets: Budgets, asked: Budget) -> dict[str, Any]:
    for own in budgets.book.all():
        same = (own.scope, own.window, own.unit) == (asked.scope, asked.window, asked.unit)
        if same and own.origin != "database":
            place = budgets.book.lines.get(own.id, "the configuration file")
            raise Problem(409, f"This budget is defined in {place}; change it there.", parameter="scope", origin=own.origin)
    kept = budgets.book.store.put(asked, budgets.now())
    budgets.book.publish()
    return _whole(budgets, kept.id)


def _remove(budgets: Budgets, id_: str) -> dict[str, Any]:
    budget = _existing(budgets.book, id_)
    if budget.origin != "database":
        place = budgets.book.lines.get(budget.id, "the configuration file")
        raise Problem(409, f"This budget is defined in {place}; remove it there.", origin=budget.origin)
    shown = budget_json(budgets, budget)
    budgets.book.store.remove(id_)
    budgets.book.publish()
    return shown


def _raise(budgets: Budgets, id_: str, body: Mapping[str, Any]) -> dict[str, Any]:
    budget = _existing(budgets.book, id_)
    name = "amount_usd" if budget.unit == "usd" else "amount"
    if name not in body:
        raise Problem(400, f"`{name}` is needed: how much is added to the limit, for a time.", parameter=name)
    amount = money(body, name) if budget.unit == "usd" else whole_number(body, name, 1, MOST_COUNT)
    windows = whole_number(body, "windows", 1, MOST_WINDOWS) if "windows" in body else 1
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON or "\0" in reason:
        raise Problem(400, f"`reason` is a text of up to {LONGEST_REASON} characters.", parameter="reason")
    now = budgets.now()
    if budget.limit_at(window_of(budget.window, now).start) + amount > (MOST_NANO if budget.unit == "usd" else MOST_COUNT):
        raise Problem(400, "With that, the limit would be larger than a ledger can count.", parameter=name)
    since, until = _windows_from(budget, now, windows)
    budgets.book.store.raise_limit(Raised(id_, amount, since, until, reason.encode(errors="replace").decode(), now))
    budgets.book.publish()
    return _whole(budgets, id_)


def _windows_from(budget: Budget, now: float, windows: int) -> tuple[int, int | None]:
    """Return when the window around `now` begins, and when the last of so many windows ends. A rolling window is as many times its length."""
    if budget.window.kind == "rolling":
        return int(now), int(now) + windows * budget.window.seconds
    first = window_of(budget.window, now)
    end = first.end
    for _ in range(windows - 1):
        end = None if end is None else window_of(budget.window, end).end
    return first.start, end


def _take_back(budgets: Budgets, id_: str) -> dict[str, Any]:
    _existing(budgets.book, id_)
    budgets.book.store.take_back(id_)
    budgets.book.publish()
    return _whole(budgets, id_)
