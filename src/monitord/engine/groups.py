"""Groups: who their members are, and how those do, as committed."""

from collections import Counter
from collections.abc import Callable, Iterable

from monitord.domain.check import Category, Observation, Verdict
from monitord.domain.group import Member, judge, verdict_of
from monitord.domain.health import Health, Status
from monitord.domain.kinds import GroupCheck
from monitord.domain.monitor import Assignment, Monitor


class _Group:
    __slots__ = ("check", "id", "members", "org_id", "tally")

    def __init__(self, monitor: Monitor, check: GroupCheck) -> None:
        self.id = monitor.id
        self.org_id = monitor.org_id
        self.check = check
        self.members: dict[int, Member] = {}
        self.tally: Counter[Status] = Counter()
        """How many members have each status: a verdict for ten thousand members costs no more than for one."""

    def takes(self, monitor: Monitor) -> bool:
        """Tell whether a monitor of any organisation is a member."""
        if monitor.org_id != self.org_id or monitor.id == self.id:
            return False
        if monitor.id in self.check.monitor_ids:
            return True
        wanted, labels = self.check.labels, monitor.spec.labels
        if not wanted or isinstance(monitor.spec.check, GroupCheck):
            return False
        return all(labels.get(key) == value for key, value in wanted.items())

    def put(self, monitor_id: int, member: Member) -> None:
        self.drop(monitor_id)
        self.members[monitor_id] = member
        self.tally[member.status] += 1

    def drop(self, monitor_id: int) -> None:
        member = self.members.pop(monitor_id, None)
        if member is not None:
            self.tally[member.status] -= 1

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.check, self.tally)


class Groups:
    """Judges groups, and has them checked at once when a member's change makes a difference.

    Follows what is adopted and forgotten; monitors that are not checked here, paused ones above all, are no members.
    """

    def __init__(
        self,
        monitors: Callable[[], Iterable[tuple[Monitor, Status]]],
        recheck: Callable[[int], None],
        is_complete: Callable[[], bool],
    ) -> None:
        """Take what is checked now, whom to ask for a check at once, and whether all monitors are known yet."""
        self._monitors = monitors
        self._recheck = recheck
        self._is_complete = is_complete
        self._groups: dict[int, _Group] = {}
        self._of_organisation: dict[int, list[_Group]] = {}
        self._of_member: dict[int, tuple[_Group, ...]] = {}

    def adopt(self, assignment: Assignment) -> None:
        """Take a monitor as a member, and as a group if it is one, from now on or in another way than before."""
        monitor, check = assignment.monitor, assignment.monitor.spec.check
        known = self._groups.get(monitor.id)
        if known is not None and known.check != check:
            self._disband(known)
        if isinstance(check, GroupCheck) and monitor.id not in self._groups:
            self._found(monitor, check)
        joined = [group for group in self._of_organisation.get(monitor.org_id, ()) if group.takes(monitor)]
        left = [group for group in self._of_member.get(monitor.id, ()) if group not in joined]
        if joined or left:
            member = Member(monitor.spec.name, assignment.health.status)
            self._change([(group, member) for group in joined] + [(group, None) for group in left], monitor.id)
            self._remember(monitor.id, joined)

    def forget(self, monitor_id: int) -> None:
        """Drop a monitor that is checked no more."""
        group = self._groups.get(monitor_id)
        if group is not None:
            self._disband(group)
        left = self._of_member.pop(monitor_id, ())
        self._change([(each, None) for each in left], monitor_id)

    def settled(self, monitor_id: int, health: Health) -> None:
        """Take the news that a monitor's committed health changed."""
        for group in self._of_member.get(monitor_id, ()):
            member = group.members[monitor_id]
            if member.status is not health.status:
                self._change([(group, Member(member.name, health.status))], monitor_id)

    def judge(self, monitor: Monitor) -> Observation:
        """Return what the members say of their group now."""
        check = monitor.spec.check
        assert isinstance(check, GroupCheck)
        if not self._is_complete():
            return Observation(
                verdict=Verdict.INCONCLUSIVE,
                category=Category.GROUP_UNKNOWN,
                message="monitord has only just started: the members are still being loaded.",
                dialled=False,
            )
        group = self._groups.get(monitor.id)
        if group is None or group.check != check:  # paused, or changed this very moment
            group = self._gathered(monitor, check)
        return judge(check, group.members.values())

    def _found(self, monitor: Monitor, check: GroupCheck) -> None:
        group = self._groups[monitor.id] = self._gathered(monitor, check)
        self._of_organisation.setdefault(group.org_id, []).append(group)
        for member_id in group.members:
            self._of_member[member_id] = (*self._of_member.get(member_id, ()), group)

    def _disband(self, group: _Group) -> None:
        del self._groups[group.id]
        others = self._of_organisation[group.org_id]
        others.remove(group)
        if not others:
            del self._of_organisation[group.org_id]
        for member_id in group.members:
            self._remember(member_id, [each for each in self._of_member[member_id] if each is not group])

    def _gathered(self, monitor: Monitor, check: GroupCheck) -> _Group:
        group = _Group(monitor, check)
        for each, status in self._monitors():
            if group.takes(each):
                group.put(each.id, Member(each.spec.name, status))
        return group

    def _remember(self, monitor_id: int, groups: Iterable[_Group]) -> None:
        found = tuple(groups)
        if found:
            self._of_member[monitor_id] = found
        else:
            self._of_member.pop(monitor_id, None)

    def _change(self, changes: Iterable[tuple[_Group, Member | None]], monitor_id: int) -> None:
        """Give groups a member as it is now, or take it away; have those checked whose verdict that changes."""
        for group, member in changes:
            before = group.verdict
            if member is None:
                group.drop(monitor_id)
            else:
                group.put(monitor_id, member)
            if group.verdict is not before and self._is_complete():
                self._recheck(group.id)
