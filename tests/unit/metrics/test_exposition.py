import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from monitord.metrics.exposition import Exposition
from monitord.metrics.instruments import Instruments
from monitord.metrics.series import render
from monitord.metrics.watched import KindTotals, Watched
from tests.unit.metrics.samples import assignment, result

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def many(count: int) -> Instruments:
    instruments = Instruments()
    for monitor_id in range(1, count + 1):
        instruments.adopt(assignment(monitor_id, name=f"site {monitor_id}"))
        instruments.observe(result(monitor_id))
    for method in range(40):
        instruments.rpc(f"/monitord.v1.Service/M{method}", "OK", 0.001)
    return instruments


async def read(instruments: Instruments, accept: str) -> tuple[str, str]:
    content_type, chunks = Exposition(instruments).scrape(accept)
    return content_type, b"".join([chunk async for chunk in chunks]).decode()


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
async def test_both_formats_parse_with_each_family_once_and_nothing_lost(accept, parse):
    content_type, text = await read(many(600), accept)
    families = list(parse(text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert content_type.startswith("application/openmetrics-text" if accept else "text/plain; version=0.0.4")
    of_monitors = [sample for family in families for sample in family.samples if "monitor_id" in sample.labels]
    assert len(of_monitors) == 600 * 16
    (rpcs,) = [family for family in families if family.name == "monitord_rpc_seconds"]
    assert len({sample.labels["method"] for sample in rpcs.samples}) == 40


async def test_others_run_between_the_chunks_of_a_scrape():
    _, chunks = Exposition(many(2_000)).scrape("")
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    sizes = [chunk.count(b"\n") async for chunk in chunks]
    task.cancel()
    assert max(sizes) <= 250 * 5, "a chunk is a bounded amount of work"
    assert turns >= len(sizes) - 1


async def test_a_monitor_may_go_while_a_scrape_is_under_way():
    instruments = many(600)
    _, chunks = Exposition(instruments).scrape("")
    lines = []
    async for chunk in chunks:
        lines.append(chunk)
        for monitor_id in range(1, 601):
            instruments.forget(monitor_id)
    list(parse_text(b"".join(lines).decode()))


@given(name=st.text(min_size=1, max_size=200), url=st.text(max_size=50))
def test_no_name_and_no_url_breaks_the_exposition(name, url):
    one = assignment(name=name, url=f"https://example.org/{url}").monitor
    text = "".join(
        render([Watched(monitor=one, status=assignment().health.status, totals=KindTotals())], openmetrics=True)
    )
    (family, *_) = parse_openmetrics(text + "# EOF\n")
    (sample,) = family.samples
    assert sample.labels["name"] == name
