"""Write-only header values stay when they come back empty."""

from monitord.domain.kinds import HttpCheck
from monitord.domain.secrets import Header, keep_secrets


def _check(*headers: Header) -> HttpCheck:
    return HttpCheck(url="http://127.0.0.1/", headers=headers)


STORED = _check(Header("X-Key", "one", secret=True), Header("X-Open", "open"), Header("x-key", "two", secret=True))


def test_an_empty_secret_is_filled_by_name_and_order() -> None:
    asked = _check(Header("x-KEY", "", secret=True), Header("X-Key", "new", secret=True))
    assert keep_secrets(asked, STORED).headers == (Header("x-KEY", "one", secret=True), asked.headers[1])
    second = _check(Header("X-Key", "new", secret=True), Header("X-Key", "", secret=True))
    assert keep_secrets(second, STORED).headers[1].value == "two"


def test_what_is_not_secret_or_not_stored_stays_as_asked() -> None:
    open_headers = (Header("X-Open", ""), Header("X-Key", ""))
    unknown_secrets = (Header("X-Other", "", secret=True), Header("X-Open", "", secret=True))
    for header in open_headers + unknown_secrets:
        assert keep_secrets(_check(header), STORED) == _check(header)


def test_no_secret_follows_the_url_to_another_server() -> None:
    """T15: a change of the URL must not be a way to read what is write-only."""
    for url in ("http://127.0.0.2/", "http://127.0.0.1:81/", "https://127.0.0.1/", "nonsense"):
        asked = HttpCheck(url=url, headers=(Header("X-Key", "", secret=True),))
        assert keep_secrets(asked, STORED).headers[0].value == ""
    moved = HttpCheck(url="http://127.0.0.1/elsewhere", headers=(Header("X-Key", "", secret=True),))
    assert keep_secrets(moved, STORED).headers[0].value == "one"
