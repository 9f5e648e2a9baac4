"""Turns an async function into a command, with the options of its groups and those that every command takes."""

import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, get_type_hints

import typer

from monitord_client.monitorctl.options import Connection
from monitord_client.monitorctl.running import Cli, run

Command = Callable[..., Awaitable[int | None]]


def command(app: typer.Typer, name: str) -> Callable[[Command], Command]:
    """Register ``async def f(cli: Cli, ...) -> exit code or None`` under a name; its docstring is the help.

    A parameter whose type is a dataclass of Annotated fields is a group: each field becomes an option.
    """

    def register(function: Command) -> Command:
        app.command(name)(_flattened(function))
        return function

    return register


def _flattened(function: Command) -> Callable[..., None]:
    _, *own = inspect.signature(function).parameters.values()
    groups: dict[str, Any] = {p.name: p.annotation for p in own if dataclasses.is_dataclass(p.annotation)}

    @functools.wraps(function)
    def invoke(ctx: typer.Context, **values: Any) -> None:
        connection = _take(Connection, values).over(ctx.find_root().obj or Connection())
        arguments: dict[str, Any] = {name: _take(group, values) for name, group in groups.items()}

        async def body(cli: Cli) -> int | None:
            return await function(cli, **arguments, **values)

        raise typer.Exit(run(body, connection))

    parameters = [_keyword("ctx", typer.Context)]
    parameters += [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own if p.name not in groups]
    for group in [*groups.values(), Connection]:
        parameters += group_parameters(group)
    invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    invoke.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return invoke


def group_parameters(group: Any) -> list[inspect.Parameter]:
    """Return a group's fields as parameters that typer understands."""
    hints = get_type_hints(group, include_extras=True)
    return [
        _keyword(f.name, hints[f.name], [] if f.default is dataclasses.MISSING else f.default)
        for f in dataclasses.fields(group)
    ]


def _take(group: Any, values: dict[str, Any]) -> Any:
    names = [f.name for f in dataclasses.fields(group)]
    return group(**{name: values.pop(name) for name in names})


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
