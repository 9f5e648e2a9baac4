"""What a group may be."""

from collections.abc import Iterator

from monitord.domain.errors import Violation
from monitord.domain.kinds.group import GroupCheck
from monitord.domain.rules.connection import Context
from monitord.domain.rules.labels import of_labels

MAX_MEMBERS = 1000


def violations(check: GroupCheck, _: Context) -> Iterator[Violation]:
    """Yield what is wrong with a group."""
    if not check.monitor_ids and not check.labels:
        yield Violation("monitor_ids", "must name at least one monitor; or give labels that monitors have")
    if len(check.monitor_ids) > MAX_MEMBERS:
        count = len(check.monitor_ids)
        yield Violation("monitor_ids", f"must be at most {MAX_MEMBERS}, not {count}; labels have no limit")
    for index, monitor_id in enumerate(check.monitor_ids[:MAX_MEMBERS]):
        if monitor_id < 1:
            what = f"must be the id of a monitor, which is 1 or more, not {monitor_id}"
            yield Violation(f"monitor_ids[{index}]", what)
    yield from of_labels(check.labels)
    if check.min_up < 0:
        yield Violation("min_up", f"must be 0 (all of them) or more, not {check.min_up}")
    elif not check.labels and check.min_up > len(check.monitor_ids) > 0:
        count = len(check.monitor_ids)
        yield Violation("min_up", f"must be at most the number of members, {count}, not {check.min_up}")
