"""Which way a screenshot is taken and stored, and how it is bounded; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from monitord.domain.connection import AddressFamily, TlsSettings
from monitord.domain.kinds import HttpCheck, TcpCheck
from monitord.domain.kinds.http import BasicAuth
from monitord.domain.secrets import Header, Secret
from monitord.evidence.screenshots import Options, Screenshots, unfit
from monitord.evidence.shot import PNG, CaptureError, Image, LimitedError, Shot, Skipped, StoreError

IMAGE = Image(b"\x89PNG", PNG)
URL = "https://shop.example/cart?token=canary"

Act = Callable[[], Awaitable[None]]


class Part:
    """A camera and a store: it does what it is told to, and keeps what it was asked for."""

    def __init__(self, name: str, *acts: Exception | float) -> None:
        self.name = name
        self.acts = list(acts)
        self.asked: list[str] = []
        self.at_once = self.most = 0

    async def _act(self) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            act = self.acts.pop(0) if len(self.acts) > 1 else (self.acts or [0.0])[0]
            if isinstance(act, Exception):
                raise act
            await asyncio.sleep(act)
        finally:
            self.at_once -= 1

    async def capture(self, url: str) -> Image:
        self.asked.append(url)
        await self._act()
        return IMAGE

    async def keep(self, image: Image) -> str:
        self.asked.append("keep")
        await self._act()
        return f"https://{self.name}.example/1"


class Network:
    """Names, and which addresses are public: those that begin with 8."""

    def __init__(self) -> None:
        self.addresses: dict[str, tuple[str, ...]] = {}
        self.error: OSError | None = None

    async def find(self, host: str, port: int, family: AddressFamily) -> tuple[str, ...]:
        if self.error is not None:
            raise self.error
        return self.addresses.get(host, ("8.8.8.8",))

    def check(self, ip: str, port: int) -> str | None:
        return None if ip.startswith("8") else "no"


def make(
    vendors: list[Part], local: list[Part], stores: list[Part], network: Network | None = None, **options: float
) -> Screenshots:
    network = network or Network()
    return Screenshots(vendors, local, stores, network, network, options=Options(**options))  # type: ignore[arg-type]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_first_of_each_is_used() -> None:
    vendor, local, cloud, folder = Part("screenshotone"), Part("chromium"), Part("cloudinary"), Part("folder")
    shot = await make([vendor], [local], [cloud, folder]).take(URL)
    assert shot == Shot(
        url="https://cloudinary.example/1", image=IMAGE, taken_by="screenshotone", stored_by="cloudinary"
    )
    assert vendor.asked == [URL]
    assert local.asked == folder.asked == []


async def test_what_fails_is_followed_by_the_next() -> None:
    vendor, local = Part("screenshotone", CaptureError("no")), Part("chromium")
    cloud, folder = Part("cloudinary", StoreError("no")), Part("folder")
    shot = await make([vendor], [local], [cloud, folder]).take(URL)
    assert isinstance(shot, Shot)
    assert (shot.taken_by, shot.stored_by) == ("chromium", "folder")


async def test_whoever_asks_to_be_left_alone_is() -> None:
    vendor, local = Part("screenshotone", LimitedError("slow down", 60), 0.0), Part("chromium")
    cloud, folder = Part("cloudinary", LimitedError("slow down", 30), 0.0), Part("folder")
    screenshots = make([vendor], [local], [cloud, folder])
    taken = []
    for wait_s in (0, 29, 2, 30):
        await asyncio.sleep(wait_s)
        shot = await screenshots.take(URL)
        assert isinstance(shot, Shot)
        taken.append((shot.taken_by, shot.stored_by))
    assert taken == [
        ("chromium", "folder"),
        ("chromium", "folder"),
        ("chromium", "cloudinary"),
        ("screenshotone", "cloudinary"),
    ]
    assert len(vendor.asked) == 2


async def test_vendors_hear_nothing_of_what_is_inside() -> None:
    network = Network()
    network.addresses["shop.example"] = ("8.8.8.8", "10.0.0.1")
    vendor, local = Part("screenshotone"), Part("chromium")
    shot = await make([vendor], [local], [Part("folder")], network).take(URL)
    assert isinstance(shot, Shot)
    assert vendor.asked == []
    only_vendor = await make([vendor], [], [Part("folder")], network).take(URL)
    assert isinstance(only_vendor, Skipped)
    assert vendor.asked == []


async def test_what_the_policy_refuses_is_told() -> None:
    network = Network()
    network.error = PermissionError(13, "10.0.0.1 was not dialled: the policy.")
    local = Part("chromium")
    assert await make([], [local], [Part("folder")], network).take(URL) == Skipped(
        "the page can't be shown: 10.0.0.1 was not dialled: the policy."
    )
    assert local.asked == []


@pytest.mark.parametrize(("camera_s", "store_s", "ends_s"), [(60.0, 0.0, 11.0), (1.0, 60.0, 4.0), (10.5, 60.0, 13.5)])
async def test_the_whole_has_an_end(camera_s: float, store_s: float, ends_s: float) -> None:
    began = now()
    result = await make([], [Part("chromium", camera_s)], [Part("folder", store_s)]).take(URL)
    assert isinstance(result, Skipped)
    assert "too long" in result.reason
    assert now() - began == ends_s


async def test_a_slow_vendor_leaves_no_time_for_another() -> None:
    local = Part("chromium")
    result = await make([Part("screenshotone", 60.0)], [local], [Part("folder")]).take(URL)
    assert result == Skipped("it took too long")
    assert local.asked == []


async def test_two_at_once_and_the_rest_waits_its_turn() -> None:
    began = now()
    camera = Part("chromium", 4.0)
    screenshots = make([], [camera], [Part("folder")])
    results = await asyncio.gather(*(screenshots.take(f"https://{n}.example/") for n in range(8)))
    assert camera.most == 2
    assert [isinstance(each, Shot) for each in results] == [True] * 4 + [False] * 4
    assert now() - began <= 15.0


async def test_one_for_each_host() -> None:
    screenshots = make([], [Part("chromium", 1.0)], [Part("folder")])
    results = await asyncio.gather(*(screenshots.take(f"https://A.example:{n}/") for n in (1, 2)))
    assert [isinstance(each, Shot) for each in results] == [True, False]
    assert isinstance(await screenshots.take("https://a.example/"), Shot)


async def test_the_queue_is_bounded() -> None:
    """(I16)"""
    screenshots = make([], [Part("chromium", 1.0)], [Part("folder")], max_waiting=3)
    results = await asyncio.gather(*(screenshots.take(f"https://{n}.example/") for n in range(5)))
    assert results[3:] == [Skipped("too many screenshots are wanted at the moment")] * 2
    assert isinstance(await screenshots.take(URL), Shot)


async def test_cancelled_it_makes_room() -> None:
    screenshots = make([], [Part("chromium", 5.0, 0.0)], [Part("folder")], max_waiting=1)
    task = asyncio.create_task(screenshots.take(URL))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(await screenshots.take(URL), Shot)


async def test_a_bug_is_no_reason_to_delay_an_alert() -> None:
    """(I11)"""
    result = await make([], [Part("chromium", ValueError("oops"))], [Part("folder")]).take(URL)
    assert result == Skipped("something went wrong within monitord")


async def test_that_there_is_no_way_is_said_once() -> None:
    with capture_logs() as logs:
        screenshots = make([], [], [Part("folder")])
        assert not screenshots.can
        for _ in range(3):
            assert await screenshots.take(URL) == Skipped("there is no way to take screenshots here")
    assert [each["event"] for each in logs] == ["no_screenshots"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:alert(1)", "http://a b/", "", "https://u:p@x.example/"]
)
async def test_only_urls_of_the_web_are_shown(url: str) -> None:
    """(T4)"""
    camera = Part("chromium")
    result = await make([], [camera], [Part("folder")]).take(url)
    assert isinstance(result, Skipped)
    assert camera.asked == []


async def test_no_log_has_the_query() -> None:
    """(T15)"""
    with capture_logs() as logs:
        for camera in (Part("chromium", CaptureError("no")), Part("chromium", ValueError()), Part("chromium")):
            await make([], [camera], [Part("folder", StoreError("no"))]).take(URL)
    assert logs
    assert "canary" not in str([{**each, "exc_info": None} for each in logs])
    assert any(each.get("url") == "https://shop.example/cart" for each in logs)


@pytest.mark.parametrize(
    ("check", "fits"),
    [
        (HttpCheck(url=URL), True),
        (HttpCheck(url=URL, method="HEAD", headers=(Header("Accept", "text/html"),)), True),
        (HttpCheck(url=URL, method="POST"), False),
        (HttpCheck(url=URL, body=b"x"), False),
        (HttpCheck(url=URL, headers=(Header("Authorization", "x", secret=True),)), False),
        (HttpCheck(url=URL, auth=BasicAuth("user", Secret("x"))), False),
        (HttpCheck(url=URL, tls=TlsSettings(client_certificate_pem="x")), False),
        (TcpCheck(host="a.example", port=1), False),
    ],
)
async def test_only_what_a_browser_would_see_too_is_shown(check: HttpCheck | TcpCheck, fits: bool) -> None:
    camera = Part("chromium")
    result = await make([], [camera], [Part("folder")]).of(check)
    assert isinstance(result, Shot) is fits
    assert (unfit(check) is None) is fits
    assert bool(camera.asked) is fits
