"""An account as a file: gzip of JSON, one object a line, the last of which says what there was before it."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from google.protobuf.json_format import MessageToDict

from monitord.domain.contact import Contact
from monitord.domain.errors import UnauthenticatedError
from monitord.domain.monitor import Monitor
from monitord.identity.principal import Principal
from monitord.rpc.convert_contact import OUTPUT_ONLY, contact_pb
from monitord.rpc.convert_monitor import spec_pb

CHUNK_BYTES = 64 * 1024
FORMAT = 1
"""Grows when a reader of older files would misunderstand a newer one."""

_GZIP = 16 + zlib.MAX_WBITS


class ExportSource(Protocol):
    """Where everything is; see ``storage.account_export``."""

    def pages(
        self, user_id: int, address: str
    ) -> AsyncIterator[tuple[str, Sequence[dict[str, Any] | Monitor | Contact]]]:
        """Yield the kind and the lines of one page after the other, for somebody who calls from there."""
        ...


class Sessions(Protocol):
    """Knows whether whoever opened a stream may still see it (T12)."""

    async def still_valid(self, principal: Principal) -> bool:
        """Tell whether the principal's credential is still good."""
        ...


class AccountFile:
    """Makes the file of an account. What it holds is a page of lines, and a chunk (I16)."""

    def __init__(self, source: ExportSource, sessions: Sessions) -> None:
        self._source = source
        self._sessions = sessions

    async def chunks(self, principal: Principal) -> AsyncGenerator[bytes, None]:
        """Yield the file, in parts of at most 64 KiB.

        Raises UnauthenticatedError when the credential ends before the file does; UnavailableError.
        """
        writer = _Writer()
        async for kind, lines in self._source.pages(principal.user_id, principal.address):
            if not await self._sessions.still_valid(principal):
                raise UnauthenticatedError("The credential of this export has ended: sign in, and begin a new one.")
            if lines:
                # Beside the loop: a page takes milliseconds, which checks would be late by.
                await asyncio.to_thread(writer.add, kind, lines)
            for chunk in writer.full():
                yield chunk
        writer.end()
        for chunk in writer.full(at_least=1):
            yield chunk


class _Writer:
    def __init__(self) -> None:
        self._gzip = zlib.compressobj(wbits=_GZIP)
        self._digest = sha256()
        self._counts: Counter[str] = Counter()
        self._buffer = bytearray()

    def add(self, kind: str, lines: Sequence[dict[str, Any] | Monitor | Contact]) -> None:
        self._counts[kind] += len(lines)
        data = b"".join(msgspec.json.encode({"kind": kind, **_fields(line)}) + b"\n" for line in lines)
        self._digest.update(data)
        self._buffer += self._gzip.compress(data)

    def end(self) -> None:
        summary = {
            "kind": "summary",
            "format": FORMAT,
            "counts": dict(self._counts),
            "sha256": self._digest.hexdigest(),
        }
        self._buffer += self._gzip.compress(msgspec.json.encode(summary) + b"\n")
        self._buffer += self._gzip.flush()

    def full(self, *, at_least: int = CHUNK_BYTES) -> list[bytes]:
        """Take out what makes chunks of at least so many bytes, and of 64 KiB at most."""
        chunks = []
        while len(self._buffer) >= at_least:
            chunks.append(bytes(self._buffer[:CHUNK_BYTES]))
            del self._buffer[:CHUNK_BYTES]
        return chunks


def _fields(line: dict[str, Any] | Monitor | Contact) -> dict[str, Any]:
    if isinstance(line, Monitor):
        return {"org_id": line.org_id, "id": line.id, "monitor": _json(spec_pb(line.spec))}
    if isinstance(line, Contact):
        message = contact_pb(line)
        for field in OUTPUT_ONLY:
            message.ClearField(field)  # type: ignore[arg-type]
        return {"org_id": line.org_id, "id": line.id, "contact": _json(message)}
    return line


def _json(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True)
