"""Cloudinary's upload as far as its pages describe it, strict. The signature is computed here anew, not by the package
that the client uses.

https://cloudinary.com/documentation/image_upload_api_reference, and /authentication_signatures.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

_UNSIGNED = {"file", "cloud_name", "resource_type", "api_key", "signature"}
_HOUR_S = 3600


class CloudinaryServer:
    """One account."""

    def __init__(self, cloud: str, key: str, secret: str, now_s: Callable[[], float]) -> None:
        self.cloud = cloud
        self.key = key
        self.secret = secret
        self.now_s = now_s
        self.kept: dict[str, bytes] = {}
        self.types: list[str] = []
        self.requests = 0
        self.script: list[Callable[[], web.Response]] = []
        """What to answer in place of taking the picture, to each request in turn."""
        self.hangs = asyncio.Event()
        self.hung = False
        self.base = ""

    async def upload(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.hung:
            await self.hangs.wait()
        if request.match_info["cloud"] != self.cloud:
            return refuse(401, "cloud_name mismatch")
        if request.content_type != "multipart/form-data":
            return refuse(400, "Missing required parameter - file")
        form = await request.post()
        file = form.get("file")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        wrong = self._judge(fields)
        if wrong is not None:
            return wrong
        if not isinstance(file, web.FileField):
            return refuse(400, "Missing required parameter - file")
        content = file.file.read()
        if not content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
            return refuse(400, "Invalid image file")
        if self.script:
            return self.script.pop(0)()
        return self._keep(fields, content, file.content_type)

    def _judge(self, fields: dict[str, str]) -> web.Response | None:
        if fields.get("api_key") != self.key:
            return refuse(401, f"Unknown API key {fields.get('api_key', '')}")
        signed = {name: value for name, value in fields.items() if name not in _UNSIGNED}
        text = "&".join(f"{name}={value}" for name, value in sorted(signed.items()))
        good = hashlib.sha1(f"{text}{self.secret}".encode()).hexdigest()
        if fields.get("signature") != good:
            return refuse(401, f"Invalid Signature {fields.get('signature')}. String to sign - '{text}'.")
        timestamp = int(fields.get("timestamp", "0"))
        if abs(self.now_s() - timestamp) > _HOUR_S:
            return refuse(400, f"Stale request - reported time is {timestamp} which is more than 1 hour ago")
        return None

    def _keep(self, fields: dict[str, str], content: bytes, media_type: str) -> web.Response:
        name = "/".join(each for each in (fields.get("folder", ""), fields["public_id"]) if each)
        self.kept[name] = content
        self.types.append(media_type)
        path = f"//res.cloudinary.com/{self.cloud}/image/upload/v{fields['timestamp']}/{name}.png"
        told = {"public_id": name, "bytes": len(content), "url": f"http:{path}", "secure_url": f"https:{path}"}
        return web.json_response(told)


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


@asynccontextmanager
async def serving_cloudinary(
    cloud: str = "demo", key: str = "874837483274837", secret: str = "cloud-secret", *, now_s: Callable[[], float]
) -> AsyncIterator[CloudinaryServer]:
    server = CloudinaryServer(cloud, key, secret, now_s)
    application = web.Application(client_max_size=16 * 1024 * 1024)
    application.router.add_post("/v1_1/{cloud}/image/upload", server.upload)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        server.hangs.set()
        await runner.cleanup()
