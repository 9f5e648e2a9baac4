"""Whom the browser runs as: nobody else, where that can be had (T5)."""

import os
import pwd
import secrets
from pathlib import Path

import msgspec

from monitord.evidence.shot import CaptureError

_STRANGERS = range(62_000, 65_000)
"""User ids that no distribution hands out: above those of people, below those of containers."""
_TRIES = 20


class Account(msgspec.Struct, frozen=True):
    """A user of the operating system."""

    uid: int
    gid: int
    own: bool
    """It is not monitord's: what it may do, monitord's files and processes are not part of."""


def account() -> Account:
    """Return a user for one browser.

    As root, that is a number which is nobody's, another one each time: what a browser leaves behind, the next can't
    touch, nor can it touch Postgres, which runs as an account of its own. Otherwise it is monitord's own user.
    Raises CaptureError.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), own=False)
    mapped = _mapped()
    for _ in range(_TRIES):
        uid = secrets.choice(_STRANGERS)
        if any(uid in each for each in mapped) and not _is_known(uid):
            return Account(uid, uid, own=True)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise CaptureError("there is no user that the browser could run as: it must not be root") from None
    return Account(nobody.pw_uid, nobody.pw_gid, own=True)


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _mapped() -> list[range]:
    """Return the ids that exist here: in a container there may be few (user_namespaces(7))."""
    try:
        lines = Path("/proc/self/uid_map").read_text().splitlines()
    except OSError:
        return [_STRANGERS]
    rows = [[int(word) for word in line.split()] for line in lines]
    return [range(first, first + count) for first, _, count in rows]
