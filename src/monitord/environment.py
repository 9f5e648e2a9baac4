"""Settings from the environment, with one message for everything that is wrong with it (T20).

The mapping is done here rather than by pydantic-settings because of that message: it names each variable that is
unknown, invalid or contradictory as the operator spelled it, shows no secret, and says what to change.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationError

from monitord.settings import OTHER_NAMES, PREFIX, Settings

_CLIENT = frozenset(
    PREFIX + name
    for name in (
        "ADDRESS",
        "API_KEY",
        "API_KEY_FILE",
        "SERVER_CA_FILE",
        "CLIENT_CERT_FILE",
        "CLIENT_CERT_KEY_FILE",
        "ORGANISATION",
    )
)
"""Variables of monitorctl, which may well be set in the same shell."""

_EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"


class SettingsError(Exception):
    """The environment cannot be used. ``str()`` is the whole message for the operator."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"monitord does not start with these settings:\n{lines}")


def load(environ: Mapping[str, str]) -> Settings:
    """Return the settings in ``environ``, and in the file that ``MONITORD_ENV_FILE`` names.

    An empty variable counts as not set. Raises SettingsError, with all problems at once.
    """
    problems: list[str] = []
    variables = _with_file(environ, problems)
    values, spelled = _collect(variables, problems)
    problems += [_unknown(name) for name in sorted(variables) if not _is_known(name)]
    problems += _validate(values, spelled)
    development = values.get("development", "").lower() in ("1", "true", "yes", "on")
    if _EMULATOR in variables and not development:  # T13
        problems.append(
            f"{_EMULATOR} is set, and with it anyone can sign in as anyone: unset it, or set "
            f"{PREFIX}DEVELOPMENT=true on a machine that holds nothing of value"
        )
    if _EMULATOR in variables and _EMULATOR not in environ:
        # The library that obeys it reads the environment alone: it would be forgotten in silence.
        problems.append(f"{_EMULATOR} stands in the file of {PREFIX}ENV_FILE: set it in the environment itself")
    if problems:
        raise SettingsError(problems)
    return Settings.model_validate(values)


def _with_file(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """Merge the file's variables, if one is named, under those of the environment; drop empty ones."""
    name = environ.get(f"{PREFIX}ENV_FILE")
    from_file: Mapping[str, str | None] = {}
    if name:
        # Only needed by those who name a file.
        from dotenv import dotenv_values

        if Path(name).expanduser().is_file():
            from_file = dotenv_values(Path(name).expanduser(), interpolate=False)
        else:
            problems.append(f"{PREFIX}ENV_FILE names {name}, which is not a file")
    return {key: value for key, value in {**from_file, **environ}.items() if value}


def _collect(variables: Mapping[str, str], problems: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return each field's value, and the name of the variable that it came from."""
    values: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for field in Settings.model_fields:
        names = [name for name in _names(field) if name in variables]
        if len({variables[name] for name in names}) > 1:
            problems.append(f"{' and '.join(names)} are the same setting with different values: keep one")
        if names:
            values[field], spelled[field] = variables[names[0]], names[0]
    return values, spelled


def _names(field: str) -> tuple[str, ...]:
    return (PREFIX + field.upper(), *OTHER_NAMES.get(field, ()))


def _is_known(name: str) -> bool:
    if not name.startswith(PREFIX):
        return True  # the rest of the environment is none of our business
    bare = name.removeprefix(PREFIX)
    return name in _CLIENT or (bare.lower() in Settings.model_fields and bare.isupper())


def _unknown(name: str) -> str:
    known = [PREFIX + field.upper() for field in Settings.model_fields]
    close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.7)
    return f"{name} is not a setting" + (
        f"; did you mean {close[0]}?" if close else ": take it out (`monitord settings` lists them all)"
    )


def _validate(values: Mapping[str, str], spelled: Mapping[str, str]) -> Iterable[str]:
    try:
        Settings.model_validate(dict(values))
    except ValidationError as error:
        return [_problem(detail["loc"], detail["msg"], values, spelled) for detail in error.errors()]
    return []


def _problem(
    location: tuple[int | str, ...], message: str, values: Mapping[str, str], spelled: Mapping[str, str]
) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return message
    field = str(location[0])
    is_secret = SecretStr in _types(field)
    shown = "" if is_secret else f"={values.get(field, '')}"
    return f"{spelled.get(field, PREFIX + field.upper())}{shown}: {message[:1].lower()}{message[1:]}"


def _types(field: str) -> tuple[object, ...]:
    annotation = Settings.model_fields[field].annotation
    return (annotation, *getattr(annotation, "__args__", ()))
