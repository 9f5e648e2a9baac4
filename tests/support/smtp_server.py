"""Mail servers for tests: one that follows a script, word by word, and keeps what it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

SILENCE = "<silence>"
CLOSE = "<close>"


@dataclass
class Mail:
    """A message that was taken, or at least sent whole."""

    sender: str
    recipient: str
    content: bytes


@dataclass
class MailSink:
    """A server by a script: what it answers to ``connect``, a verb, or ``.`` in place of what is usual.

    A list is used up one by one, then the usual follows; SILENCE never answers; CLOSE ends the connection.
    """

    script: dict[str, list[str]] = field(default_factory=dict)
    extensions: tuple[str, ...] = ("SIZE 1000000", "8BITMIME")
    tls: ssl.SSLContext | None = None
    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    got: asyncio.Event = field(default_factory=asyncio.Event)
    keeps: bool = True
    """Whether a connection may bring another message."""
    moment: Callable[[str], bool] = lambda _: False
    """Told each moment as it comes: ``connect``, before a word is said; a verb, once it is answered; ``.``, once the
    message is here, and ``answer``, once that is answered. True ends the connection there."""

    def next(self, verb: str, usual: str) -> str:
        answers = self.script.get(verb, [])
        return answers.pop(0) if answers else usual

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await _Session(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


class _Session:
    def __init__(self, sink: MailSink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sink, self.reader, self.writer = sink, reader, writer
        self.sender = self.recipient = ""
        self.secure = writer.get_extra_info("ssl_object") is not None

    async def run(self) -> None:
        if self.sink.moment("connect") or await self.say("connect", "220 mail.test ESMTP"):
            return
        while line := (await self.reader.readline()).decode().rstrip("\r\n"):
            self.sink.commands.append(line)
            verb, _, rest = line.partition(" ")
            if await self.obey(verb.upper(), rest):
                return

    async def obey(self, verb: str, rest: str) -> bool:
        if verb == "EHLO":
            lines = ["mail.test", *self.sink.extensions]
            usual = "\r\n".join(f"250{'-' if n + 1 < len(lines) else ' '}{line}" for n, line in enumerate(lines))
            return await self.say(verb, usual)
        if verb == "STARTTLS":
            return await self.start_tls()
        if verb == "MAIL":
            self.sender = rest.partition("<")[2].partition(">")[0]
        if verb == "RCPT":
            self.recipient = rest.partition("<")[2].partition(">")[0]
        if verb == "DATA":
            return await self.take()
        usual = {"AUTH": "235 2.7.0 welcome", "QUIT": "221 bye"}.get(verb, "250 2.0.0 ok")
        return await self.say(verb, usual) or verb == "QUIT"

    async def take(self) -> bool:
        if await self.say("DATA", "354 go on"):
            return True
        if not self.went_on:
            return False
        content = await self.reader.readuntil(b"\r\n.\r\n")
        answer = self.sink.next(".", "250 2.0.0 queued as 1")
        self.sink.mails.append(Mail(self.sender, self.recipient, content[:-3].replace(b"\r\n..", b"\r\n.")))
        self.sink.got.set()
        if self.sink.moment("."):
            return True
        return await self.send(answer) or self.sink.moment("answer") or not self.sink.keeps

    async def start_tls(self) -> bool:
        if await self.say("STARTTLS", "220 go on"):
            return True
        assert self.sink.tls is not None
        await self.writer.start_tls(self.sink.tls)
        self.sink.extensions = tuple(each for each in self.sink.extensions if each != "STARTTLS")
        return False

    async def say(self, verb: str, usual: str) -> bool:
        return await self.send(self.sink.next(verb, usual)) or (verb != "connect" and self.sink.moment(verb))

    async def send(self, answer: str) -> bool:
        """Send an answer, and return whether that was the end."""
        self.went_on = answer.startswith("354")
        if answer == CLOSE:
            return True
        if answer == SILENCE:
            await self.reader.read()
            return True
        self.writer.write(f"{answer}\r\n".encode())
        await self.writer.drain()
        return answer.startswith("421")


@asynccontextmanager
async def mail_sink(
    *, implicit_tls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, port: int = 0, **script: list[str]
) -> AsyncIterator[MailSink]:
    """Serve a script. In keywords ``dot`` is what follows the final dot."""
    sink = MailSink(script=_spelled(script), tls=tls)
    if tls is not None:
        sink.extensions = (*sink.extensions, "STARTTLS", "AUTH PLAIN LOGIN")
    if implicit_tls is not None:
        sink.extensions = (*sink.extensions, "AUTH PLAIN LOGIN")
    server = await asyncio.start_server(sink.serve, "127.0.0.1", port, ssl=implicit_tls)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()


def _spelled(script: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {{"dot": ".", "connect": "connect"}.get(verb, verb.upper()): answers for verb, answers in script.items()}
