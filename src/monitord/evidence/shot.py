"""What comes of a screenshot: a picture that is stored somewhere, or a reason why there is none."""

import msgspec

WIDTH, HEIGHT = 1280, 800
"""Of the part of a page that is shown, in pixels."""

MAX_IMAGE_BYTES = 8 * 1024 * 1024

PNG, JPEG = "image/png", "image/jpeg"
_MAGIC = {b"\x89PNG\r\n\x1a\n": PNG, b"\xff\xd8\xff": JPEG}


class Image(msgspec.Struct, frozen=True):
    """A picture."""

    content: bytes
    media_type: str


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was taken and stored."""

    url: str
    """Where it can be seen."""
    image: Image
    taken_by: str
    """``screenshotone`` or ``chromium``."""
    stored_by: str
    """``cloudinary`` or ``folder``."""


class Skipped(msgspec.Struct, frozen=True):
    """There is no picture."""

    reason: str
    """A sentence for people, without secrets."""


class CaptureError(Exception):
    """A picture could not be taken. The text is for people, and holds no secret."""


class StoreError(Exception):
    """A picture could not be stored. The text is for people, and holds no secret."""


class LimitedError(CaptureError, StoreError):
    """A vendor asks to be left alone for a while."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        """How long, in seconds."""


def image_of(content: bytes) -> Image | None:
    """Return the picture that bytes are, by how they begin; None: they are none, or too many."""
    if len(content) > MAX_IMAGE_BYTES:
        return None
    return next((Image(content, kind) for magic, kind in _MAGIC.items() if content.startswith(magic)), None)
