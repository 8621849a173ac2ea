"""The short way to a reading: from its path straight to the route's own function.

FastAPI's router asks a hundred routes one after the other, and its solving of parameters takes longer than the answer
does. Routes stay declared as FastAPI has them; here the plain, right reading finds its function at once, and every
other request goes FastAPI's way, which also words every error.
"""

import re
from collections.abc import Iterable
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, ValidationError
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.access import get_caller, get_editor, get_guardian
from app.core.http import Route

ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SAMPLE = "00000000-0000-4000-8000-000000000000"
READERS = (get_caller, get_editor, get_guardian)
"""Dependencies of routes that only read; one that has a transaction, such as a recorded reading, is never kept."""

PARAMETER = re.compile(r"\{[a-z_]+\}")


def _takes_many(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(get_origin(a) is list for a in get_args(annotation))


def _is_plain(dependant: Dependant) -> bool:
    """Tell whether a dependency is a coroutine of the request and of other such dependencies, and of nothing else."""
    others = (*dependant.path_params, *dependant.query_params, *dependant.header_params, *dependant.cookie_params)
    called = dependant.call is not None and iscoroutinefunction(dependant.call)
    return called and not others and not dependant.body_params and all(map(_is_plain, dependant.dependencies))


async def _solved(dependant: Dependant, request: Request) -> Any:
    """Run a dependency, first those that it depends on."""
    given = {str(d.name): await _solved(d, request) for d in dependant.dependencies}
    if dependant.request_param_name is not None:
        given[dependant.request_param_name] = request
    assert dependant.call is not None  # noqa: S101 -- `_is_plain` saw to it
    return await dependant.call(**given)


class Reading:
    """A GET route that takes nothing but the ids in its path, one query model, and one dependency: its caller."""

    def __init__(self, route: Route) -> None:
        """Take apart what FastAPI has made of the route's signature."""
        made = route.dependant
        self.route = route
        self.ids = tuple(p.name for p in made.path_params)
        self.who = made.dependencies[0]
        self.kept = route.kept and self.who.call in READERS
        self._model: type[BaseModel] | None = None
        self._query, self._many = "", {}
        for parameter in made.query_params:  # one, or none
            model: Any = parameter.field_info.annotation
            fields = model.model_fields.items()
            self._query, self._model = parameter.name, model
            self._many = {str(f.validation_alias or f.alias or n): _takes_many(f.annotation) for n, f in fields}

    @classmethod
    def of(cls, route: BaseRoute) -> "Reading | None":
        """Return the reading that a route is; None for any other route."""
        if not isinstance(route, Route) or "GET" not in (route.methods or ()):
            return None
        made = route.dependant
        models = [p.field_info.annotation for p in made.query_params]
        plain = (
            iscoroutinefunction(route.endpoint)
            and route.endpoint.__annotations__.get("return") is Response
            and len(made.dependencies) == 1
            and _is_plain(made.dependencies[0])
            and all(p.field_info.annotation is UUID for p in made.path_params)
            and len(models) <= 1
            and all(isinstance(m, type) and issubclass(m, BaseModel) for m in models)
            and not (made.header_params or made.cookie_params or made.body_params or made.request_param_name)
        )
        return cls(route) if plain else None

    def values(self, ids: list[str], query: bytes) -> dict[str, Any] | None:
        """Return what the route's function takes besides its caller; None where it is not right, or not plainly so."""
        values: dict[str, Any] = dict(zip(self.ids, map(UUID, ids), strict=True))
        if self._model is None:
            return None if query else values
        given: dict[str, Any] = {}
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            many = self._many.get(name)
            if many:
                given.setdefault(name, []).append(value)
            elif many is None or name in given:
                return None
            else:
                given[name] = value
        try:
            values[self._query] = self._model.model_validate(given)
        except ValidationError:
            return None
        return values

    async def answer(self, request: Request, values: dict[str, Any]) -> Response:
        """Find out who asks and run the route's function."""
        return await self.route.run(partial(self._call, values), request)

    async def _call(self, values: dict[str, Any], request: Request) -> Response:
        values[str(self.who.name)] = await _solved(self.who, request)
        response: Response = await self.route.endpoint(**values)
        return response


class Readings:
    """Every reading of an application, by its path with `{}` for each id."""

    def __init__(self, routers: Iterable[APIRouter]) -> None:
        """Gather the readings; a path that another route is asked for first stays that route's."""
        routes = [route for router in routers for route in router.routes]
        self._by_path: dict[str, Reading] = {}
        for route in routes:
            if (found := Reading.of(route)) is None:
                continue
            asked = {"type": "http", "method": "GET", "path": PARAMETER.sub(SAMPLE, found.route.path)}
            if next(r for r in routes if r.matches(dict(asked))[0] is Match.FULL) is route:
                self._by_path[PARAMETER.sub("{}", found.route.path)] = found

    def find(self, scope: Scope) -> tuple[Reading, list[str]] | None:
        """Return the reading that is asked for, with the ids in its path."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope.get("root_path"):
            return None
        path: str = scope["path"]
        ids = ID.findall(path)
        found = self._by_path.get(ID.sub("{}", path) if ids else path)
        return (found, ids) if found is not None and len(found.ids) == len(ids) else None


class Direct:
    """Pure ASGI, the innermost: answers readings."""

    def __init__(self, app: ASGIApp, readings: Readings) -> None:
        """Wrap the application."""
        self.app, self.readings = app, readings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = self.readings.find(scope)
        values = found[0].values(found[1], scope["query_string"]) if found else None
        if found is None or values is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = found[0].route
        response = await found[0].answer(Request(scope, receive, send), values)
        await response(scope, receive, send)
