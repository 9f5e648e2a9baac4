"""How an HTTP check may prove who is asking."""

from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.http import BasicAuth, BearerAuth, HttpCheck, Oauth2Auth
from monitord.domain.rules.connection import Context, of_length, of_secret
from monitord.domain.rules.wording import has_controls, quoted
from monitord.domain.secrets import Secret
from monitord.domain.target import InvalidTargetError, parse_target

MAX_TOKEN_BYTES = 4096
MAX_NAME_BYTES = 255
MAX_SCOPES = 20


def of_auth(check: HttpCheck, context: Context) -> Iterator[Violation]:
    """Yield what is wrong with the credentials; never what they are."""
    auth = check.auth
    if auth is None:
        return
    if any(header.name.lower() == "authorization" for header in check.headers):
        yield Violation("auth", "leave out either this or the Authorization header: there can be but one")
    match auth:
        case BasicAuth(username, password):
            yield from of_length(username, "auth.basic.username", MAX_NAME_BYTES)
            if ":" in username or has_controls(username):
                yield Violation("auth.basic.username", "must contain no colon and no control characters (RFC 7617, 2)")
            yield from _of_given(password, "auth.basic.password", context)
        case BearerAuth(token):
            yield from _of_given(token, "auth.bearer.token", context, MAX_TOKEN_BYTES)
        case Oauth2Auth(client_secret=client_secret):
            yield from _of_oauth2(auth)
            yield from _of_given(client_secret, "auth.oauth2.client_secret", context)


def _of_oauth2(auth: Oauth2Auth) -> Iterator[Violation]:
    try:
        parse_target(auth.token_url)
    except InvalidTargetError as error:
        yield Violation("auth.oauth2.token_url", str(error))
    if not auth.client_id:
        yield Violation("auth.oauth2.client_id", "must be given")
    yield from of_length(auth.client_id, "auth.oauth2.client_id", MAX_NAME_BYTES)
    if len(auth.scopes) > MAX_SCOPES:
        yield Violation("auth.oauth2.scopes", f"must be at most {MAX_SCOPES}, not {len(auth.scopes)}")
        return
    for index, scope in enumerate(auth.scopes):
        # RFC 6749, 3.3: visible ASCII but the quotation mark and the backslash.
        if not 1 <= len(scope) <= MAX_NAME_BYTES or any(not "!" <= char <= "~" or char in '"\\' for char in scope):
            yield Violation(
                f"auth.oauth2.scopes[{index}]",
                f'must be 1 to {MAX_NAME_BYTES} visible ASCII characters but " and \\, not {quoted(scope)}',
            )


def _of_given(secret: Secret, field: str, context: Context, limit: int = 1024) -> Iterator[Violation]:
    if not secret and not context.secrets_may_be_kept:
        yield Violation(field, "must be given: none is stored for this target")
    yield from of_secret(secret.value, field, limit)
    if has_controls(secret.value):
        yield Violation(field, "must contain no line breaks or other control characters")
