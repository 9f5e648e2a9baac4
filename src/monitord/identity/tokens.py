"""The tokens of a session: a short-lived signed one that is shown with each call, and one to get the next pair with.

An access token (JWT, HS256) is valid for 15 minutes and names the user, the session and the session version; both are
looked up when it is used, so a token outlives neither a logout nor a new password (T12).

A refresh token is the session's id and 256 random bits, with a MAC. The MAC tells forgeries from tokens that were ours
without a query, so that only one that was really issued can end its session by coming back. What is stored is the
SHA-256 of the one that is valid now.
"""

import base64
import binascii
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha256
from uuid import UUID

import jwt
import msgspec

from monitord.domain.errors import UnauthenticatedError
from monitord.domain.instant import SECOND, Instant
from monitord.identity.principal import SessionCredential

ACCESS_LIFETIME_S = 15 * 60

_ACCESS, _REFRESH = "access tokens", "refresh tokens"
"""What keys are derived for: other words would end all sessions."""
_ALGORITHM = "HS256"
_ISSUER = _AUDIENCE = "monitord"
_REFRESH_PREFIX = "mr_"
_SESSION_BYTES = 16
_REMEMBERED = 10_000
"""Access tokens that were verified, at most (I16)."""
_RANDOM_BYTES = 32
_MAC_BYTES = 32

_NOT_ACCESS = (
    "This is neither an access token nor an API key of this monitord: send `authorization: Bearer <token>` with an "
    "access token from Login or Refresh, or with an API key."
)
_NOT_REFRESH = "This is not a refresh token of this monitord: sign in again with Login."


class TokenPair(msgspec.Struct, frozen=True, kw_only=True):
    """What proves a session."""

    access_token: str
    access_expires_at: Instant
    refresh_token: str
    refresh_expires_at: Instant

    def __repr__(self) -> str:
        """Show the tokens to nobody, logs and tracebacks included (T15)."""
        return f"TokenPair(<secret>, until {self.access_expires_at}, {self.refresh_expires_at})"


class AccessClaims(msgspec.Struct, frozen=True):
    """What a valid access token says."""

    user_id: int
    credential: SessionCredential


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    sid: UUID
    sv: int
    exp: int


class Tokens:
    """Makes and verifies tokens with keys derived from the vault's: the first signs, each verifies."""

    def __init__(self, derive: Callable[[str], tuple[bytes, ...]], *, now: Callable[[], Instant]) -> None:
        self._derive = derive
        self._now = now
        # By the hash of the token; with the key that it was verified by, which may be retired.
        self._verified: OrderedDict[bytes, tuple[bytes, _Claims]] = OrderedDict()

    def issue_access(self, user_id: int, credential: SessionCredential) -> tuple[str, Instant]:
        """Return an access token of a session, and until when it is valid."""
        issued_s = self._now() // SECOND
        expires_s = issued_s + ACCESS_LIFETIME_S
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": str(user_id),
            "sid": str(credential.session_id),
            "sv": credential.session_version,
            "iat": issued_s,
            "exp": expires_s,
        }
        return jwt.encode(claims, self._derive(_ACCESS)[0], algorithm=_ALGORITHM), expires_s * SECOND

    def verify_access(self, token: str) -> AccessClaims:
        """Return what an access token says. Raises UnauthenticatedError for one that is not ours or has expired."""
        claims = self._read(token)
        if self._now() >= claims.exp * SECOND:
            raise UnauthenticatedError("The access token has expired: get the next one with Refresh.")
        return AccessClaims(int(claims.sub), SessionCredential(claims.sid, claims.sv))

    def issue_refresh(self, session_id: UUID) -> str:
        """Return a new refresh token of a session."""
        body = session_id.bytes + secrets.token_bytes(_RANDOM_BYTES)
        signed = body + _mac(self._derive(_REFRESH)[0], body)
        return _REFRESH_PREFIX + base64.urlsafe_b64encode(signed).decode().rstrip("=")

    def verify_refresh(self, token: str) -> UUID:
        """Return the session of a refresh token that was issued here, whether or not it is still the valid one.

        Raises UnauthenticatedError for anything else.
        """
        raw = _decode_refresh(token)
        body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, body)) for key in self._derive(_REFRESH)):
            raise UnauthenticatedError(_NOT_REFRESH)
        return UUID(bytes=body[:_SESSION_BYTES])

    def _read(self, token: str) -> _Claims:
        """Return what a token says; of one that was verified before, for 4 instead of 116 microseconds."""
        name, keys = digest(token), self._derive(_ACCESS)
        verified_by, claims = self._verified.get(name) or (b"", None)
        if claims is not None and verified_by in keys:
            self._verified.move_to_end(name)
            return claims
        key, claims = _verify(token, keys)
        self._verified[name] = (key, claims)
        if len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return claims


def digest(token: str) -> bytes:
    """Return what stands for a token where it is kept: of a refresh token in the database."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


def _verify(token: str, keys: Sequence[bytes]) -> tuple[bytes, _Claims]:
    """Return what a token says, and the key that it is signed with. Raises UnauthenticatedError."""
    for key in keys:
        try:
            payload = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                audience=_AUDIENCE,
                # Expiry is compared by the caller, with the clock that it was issued by.
                options={"require": ["sub", "exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
            return key, msgspec.convert(payload, _Claims)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            break
    # Not `from` the error: its text may quote a part of the token.
    raise UnauthenticatedError(_NOT_ACCESS)


def _decode_refresh(token: str) -> bytes:
    encoded = token.removeprefix(_REFRESH_PREFIX)
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if encoded == token or len(raw) != _SESSION_BYTES + _RANDOM_BYTES + _MAC_BYTES:
        raise UnauthenticatedError(_NOT_REFRESH)
    return raw


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")
