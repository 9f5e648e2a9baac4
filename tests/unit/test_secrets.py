"""Write-only header values stay when they come back empty."""

from monitord.domain.monitor import Header, HttpCheck
from monitord.domain.secrets import keep_secrets


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
