"""What firebase-admin asks of Google, spoken by a server here: it refuses what Google would refuse."""

import base64
import contextlib
import datetime
import functools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

PROJECT = "real-project-1"
_EMAIL = f"firebase-adminsdk@{PROJECT}.example"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ACCESS = "ya29.access"


class Key:
    """An RSA key with a self-signed certificate, as Google publishes them."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "securetoken.system.gserviceaccount.com")])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=10))
            .sign(self.private, hashes.SHA256())
        )
        self.certificate = made.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def pem(self) -> str:
        form = serialization.PrivateFormat.PKCS8
        return self.private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@functools.cache
def key(kid: str) -> Key:
    """Return a key, which is made once: that takes a while."""
    return Key(kid)


class Google:
    """Publishes keys, gives access tokens to the service account, and tells of users."""

    def __init__(self) -> None:
        self.key = key("key-1")
        self.account_key = key("account")
        self.users: dict[str, dict[str, Any]] = {}
        self.lookups = 0
        self.keys_asked = 0
        self.down = False
        """Answers 500 to everything."""
        self.forbids = False
        """The service account lacks its role."""
        self.base = ""

    def service_account(self) -> str:
        return json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "1",
                "private_key": self.account_key.pem,
                "client_email": _EMAIL,
                "token_uri": f"{self.base}/token",
            }
        )

    def token(self, uid: str = "uid-1", *, signed_by: Key | None = None, headers: Any = None, **claims: Any) -> str:
        """Return an ID token as Firebase signs it, with these claims instead of the usual ones; None leaves one out."""
        now = int(time.time())
        usual: dict[str, Any] = {
            "iss": f"https://securetoken.google.com/{PROJECT}",
            "aud": PROJECT,
            "sub": uid,
            "user_id": uid,
            "auth_time": now - 5,
            "iat": now - 5,
            "exp": now + 3600,
            "email": f"{uid}@example.org",
            "email_verified": True,
            "name": "Ann Example",
            "firebase": {"identities": {}, "sign_in_provider": "google.com"},
        }
        said = {name: value for name, value in (usual | claims).items() if value is not None}
        signing = signed_by or self.key
        return jwt.encode(said, signing.private, algorithm="RS256", headers={"kid": signing.kid} | (headers or {}))

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/keys", self._keys)
        application.router.add_post("/token", self._token)
        application.router.add_post(f"/v1/projects/{PROJECT}/accounts:lookup", self._lookup)
        return application

    async def _keys(self, _: web.Request) -> web.Response:
        self.keys_asked += 1
        if self.down:
            raise web.HTTPInternalServerError
        return web.json_response(
            {self.key.kid: self.key.certificate}, headers={"cache-control": "public, max-age=3600"}
        )

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assertion = str(form.get("assertion"))
        if self.down or form.get("grant_type") != _GRANT:
            raise web.HTTPInternalServerError if self.down else web.HTTPBadRequest
        try:
            said = jwt.decode(
                assertion,
                self.account_key.private.public_key(),
                algorithms=["RS256"],
                audience="https://oauth2.googleapis.com/token",
                issuer=_EMAIL,
            )
        except jwt.InvalidTokenError:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert "https://www.googleapis.com/auth/identitytoolkit" in said["scope"].split()
        return web.json_response({"access_token": _ACCESS, "expires_in": 3600, "token_type": "Bearer"})

    async def _lookup(self, request: web.Request) -> web.Response:
        self.lookups += 1
        if self.down:
            raise web.HTTPNotImplemented  # 500 and 503 are tried again by the library, with seconds between
        if request.headers.get("authorization") != f"Bearer {_ACCESS}":
            return _refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if self.forbids:
            return _refused(403, "PERMISSION_DENIED", "The caller does not have permission")
        wish = await request.json()
        found = [self.users[uid] for uid in wish["localId"] if uid in self.users]
        return web.json_response(
            {"kind": "identitytoolkit#GetAccountInfoResponse"} | ({"users": found} if found else {})
        )

    def add_user(self, uid: str = "uid-1", **fields: Any) -> None:
        self.users[uid] = {"localId": uid, "validSince": "0", "disabled": False} | fields


@contextlib.asynccontextmanager
async def running_google() -> AsyncIterator[Google]:
    google = Google()
    runner = web.AppRunner(google.application())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        google.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield google
    finally:
        await runner.cleanup()


def unsigned(token: str, **header: Any) -> str:
    """Return a token's claims under another header, and without a signature."""
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"} | header).encode()).decode().rstrip("=")
    return f"{head}.{token.split('.')[1]}."


def _refused(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": status, "message": message, "status": code}}, status=status)
