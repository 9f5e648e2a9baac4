"""monitorctl org, member, invitation, keys, sessions, passwd, whoami and audit."""

import asyncio
import json
import os
from types import SimpleNamespace

import pytest
from grpc import StatusCode
from typer.testing import CliRunner

from monitord_client import AuditEvent, http_monitor
from monitord_client.monitorctl.app import build
from monitord_client.v1.organisation_pb2 import ROLE_ADMIN, ROLE_EDITOR, ROLE_OWNER, ROLE_VIEWER
from tests.client.conftest import Ctl
from tests.client.fake_monitord import FakeMonitord, Fault

MINE = "ada@example.com"
BOB = "bob@example.org"


@pytest.fixture
async def signed_in(server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a session instead of the key."""
    monkeypatch.delenv("MONITORD_API_KEY")
    assert (await ctl("login", MINE, "--password-stdin", stdin="correct horse\n")).exit_code == 0


@pytest.fixture
def shop(server: FakeMonitord) -> int:
    server.join(server.found_team("Shop").id, 7, BOB, ROLE_VIEWER)
    return 2


async def test_an_organisation_is_named_by_option_or_environment(
    server: FakeMonitord, ctl: Ctl, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in (["list", "--organisation", "Shop"], ["--organisation", "2", "list"]):
        server.acted.clear()
        assert (await ctl(*arguments)).exit_code == 0
        assert server.acted[-1] == ("ListMonitors", shop)
    assert len(server.called("ListOrganisations")) == 1, "a name is looked up once, an id never"
    monkeypatch.setenv("MONITORD_ORGANISATION", "Shop")
    await ctl("list")
    assert server.acted[-1] == ("ListMonitors", shop)
    await ctl("list", "--organisation", "1")
    assert server.acted[-1] == ("ListMonitors", 1)


async def test_one_that_is_not_there_is_told_with_who_chose_it(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    near = await ctl("list", "--organisation", "shop")
    assert (near.exit_code, "Did you mean 'Shop'?" in near.stderr) == (3, True)
    gone = await ctl("list", "--organisation", "99")
    assert (gone.exit_code, "It was chosen by --organisation." in gone.stderr) == (3, True)
    assert "An API key acts in the one that it was made in" in gone.stderr
    server.found_team("Shop")
    double = await ctl("list", "--organisation", "Shop")
    assert (
        double.exit_code,
        "2 of your organisations are called 'Shop': give an id, one of 2, 3" in double.stderr,
    ) == (
        2,
        True,
    )
    server.faults["ListOrganisations"].append(Fault(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"))
    read_only = await ctl("list", "--organisation", "Shop")
    assert (read_only.exit_code, "a key acts in the one that it was made in" in read_only.stderr) == (4, True)


@pytest.mark.usefixtures("signed_in")
async def test_a_choice_is_remembered_for_the_session(
    server: FakeMonitord, ctl: Ctl, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = await ctl("org", "use", "Shop")
    assert (used.exit_code, used.stderr) == (0, "Commands act in Shop (id 2).\n")
    await ctl("list")
    assert server.acted[-1] == ("ListMonitors", shop)
    lines = (await ctl("org", "list")).stdout.splitlines()
    assert [line.startswith("*") for line in lines] == [False, False, True]

    with monkeypatch.context() as keyed:
        keyed.setenv("MONITORD_API_KEY", "mk_test_0123456789")
        await ctl("list")
        assert server.acted[-1] == ("ListMonitors", 1), "a key acts in its own"
        refused = await ctl("org", "use", "Shop")
        assert (refused.exit_code, "run `monitorctl login` first" in refused.stderr) == (2, True)

    del server.teams[shop]
    gone = await ctl("list")
    assert (gone.exit_code, "`monitorctl org use --personal` goes back" in gone.stderr) == (3, True)
    assert (await ctl("org", "list")).exit_code == 0, "what is about the user alone still works"
    assert (await ctl("org", "use", "--personal")).exit_code == 0
    assert (await ctl("list")).exit_code == 0
    assert (await ctl("org", "use")).exit_code == 2


@pytest.mark.usefixtures("signed_in")
async def test_a_choice_is_forgotten_with_who_made_it(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    async def acts_in() -> int:
        await ctl("list")
        return server.acted[-1][1]

    await ctl("org", "use", "Shop")
    await ctl("login", MINE, "--password-stdin", stdin="correct horse\n")
    assert await acts_in() == shop, "the same user again"
    server.user.id = 5
    await ctl("login", MINE, "--password-stdin", stdin="correct horse\n")
    assert await acts_in() == 1
    await ctl("org", "use", "Shop")
    await ctl("logout")
    await ctl("login", MINE, "--password-stdin", stdin="correct horse\n")
    assert await acts_in() == 1
    await ctl("org", "use", "Shop")
    await ctl("org", "delete", "Shop")
    assert await acts_in() == 1


async def test_the_life_of_an_organisation(server: FakeMonitord, ctl: Ctl) -> None:
    alone = await ctl("org", "list")
    assert "monitorctl org create NAME" in alone.stderr
    made = await ctl("org", "create", "Shop")
    assert (made.exit_code, made.stdout) == (0, "+ Shop (id 2)\n")
    assert "monitorctl org use 2" in made.stderr
    assert (await ctl("org", "rename", "Shop", "Shop & Co")).stdout == "Shop is now Shop & Co\n"
    assert server.acted[-1] == ("UpdateOrganisation", 2)

    assert "from everywhere" in (await ctl("org", "networks", "2")).stderr
    fenced = await ctl("org", "networks", "2", "192.0.2.0/24", "127.0.0.1")
    assert fenced.stdout == "192.0.2.0/24\n127.0.0.1\n"
    assert server.teams[2].display_name == "Shop & Co"
    assert "192.0.2.0/24, 127.0.0.1" in (await ctl("org", "list")).stdout
    assert (await ctl("org", "networks", "2", "::/0", "--everywhere")).exit_code == 2
    assert "from everywhere" in (await ctl("org", "networks", "2", "--everywhere")).stderr
    assert list(server.teams[2].allowed_networks) == []

    card = (await ctl("org", "show", "2")).stdout
    assert f"Ada <{MINE}>: owner" in card
    assert json.loads((await ctl("org", "show", "-o", "json")).stdout)["personal"]
    assert len(json.loads((await ctl("org", "list", "-o", "json")).stdout)["organisations"]) == 2

    server.put(http_monitor("site", "http://127.0.0.1"))
    assert (await ctl("org", "delete", "Shop & Co")).exit_code == 6
    assert (await ctl("org", "delete", "Shop & Co", "--force")).stdout == "- Shop & Co\n"
    assert list(server.teams) == [1]


async def test_members(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    assert "monitorctl org create NAME" in (await ctl("member", "list")).stderr
    there = ("--organisation", "Shop")
    listed = (await ctl(*there, "member", "list")).stdout.splitlines()
    assert [line.split()[1] for line in listed[1:]] == [MINE, BOB]
    assert (await ctl(*there, "member", "role", BOB.upper(), "editor")).stdout == f"{BOB} is an editor now\n"
    assert server.team_members[shop][1].role == ROLE_EDITOR
    assert (await ctl(*there, "member", "role", BOB, "boss")).exit_code == 2
    unknown = await ctl(*there, "member", "rm", "bob@example.com")
    assert (unknown.exit_code, f"Did you mean '{BOB}'" in unknown.stderr) == (3, True)
    assert (await ctl(*there, "member", "leave")).exit_code == 6
    assert (await ctl(*there, "member", "rm", "7")).stdout == f"- {BOB}\n"
    assert "monitorctl member invite" in (await ctl(*there, "member", "list")).stderr
    server.join(shop, 7, BOB, ROLE_OWNER)
    assert (await ctl(*there, "member", "leave")).stdout == "- Shop\n"
    assert list(server.teams) == [1]


async def test_invitations(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    there = ("--organisation", "Shop")
    assert "monitorctl member invite" in (await ctl(*there, "invitation", "list")).stderr
    sent = await ctl(*there, "member", "invite", "cy@example.org", "--role", "admin")
    assert (sent.exit_code, sent.stdout) == (0, "+ cy@example.org may join Shop as an admin (id 1)\n")
    assert server.invitations[1].role == ROLE_ADMIN
    assert "cy@example.org" in (await ctl(*there, "invitation", "list")).stdout
    assert (await ctl(*there, "invitation", "revoke", "1")).exit_code == 0
    assert (await ctl(*there, "invitation", "revoke", "1")).exit_code == 3
    assert (await ctl("member", "invite", "cy@example.org")).exit_code == 6


async def test_own_invitations_concern_no_organisation(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    there = ("--organisation", "Shop")
    assert "Nobody invites you" in (await ctl("invitation", "list", "--mine")).stderr
    server.ask(8, "Blog\x1b[2J", MINE, ROLE_VIEWER, BOB)
    server.ask(9, "Lab", MINE, ROLE_EDITOR, BOB)
    listed = (await ctl(*there, "invitation", "list", "--mine")).stdout
    assert ["Blog" in listed, "Lab" in listed, "\x1b" in listed] == [True, True, False]
    joined = await ctl(*there, "invitation", "accept", "2")
    assert (joined.exit_code, joined.stdout) == (0, "You are an editor of Lab (id 9) now\n")
    assert (await ctl(*there, "invitation", "decline", "1")).exit_code == 0
    assert (await ctl("invitation", "accept", "Lab")).exit_code == 2
    assert {organisation for _, organisation in server.acted} == {1}
    assert not server.invitations


async def test_a_person_is_asked_before_anything_goes(
    server: FakeMonitord, ctl: Ctl, shop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitord_client.monitorctl.running.Cli.interactive", True)
    there = ("--organisation", "Shop")
    for arguments, question in (
        (("member", "rm", BOB), f"Remove {BOB}, and end their keys?"),
        (("member", "leave"), "Leave Shop, and end your keys of it?"),
        (("org", "delete", "Shop", "--force"), "Delete Shop with all monitors and contacts in it, for ever?"),
    ):
        refused = await ctl(*there, *arguments, stdin="n\n")
        assert (refused.exit_code, question in refused.stderr) == (2, True)
    assert len(server.team_members[shop]) == 2
    assert (await ctl(*there, "member", "rm", BOB, "-y")).exit_code == 0
    assert (await ctl("org", "delete", "Shop", stdin="yes\n")).exit_code == 0
    assert list(server.teams) == [1]


async def test_keys_for_some_monitors_and_networks(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    assert "monitorctl keys create NAME" in (await ctl("keys", "list")).stderr
    made = await ctl(
        *("--organisation", "Shop", "keys", "create", "deploy", "--scope", "write", "--label", "team=shop"),
        *("--label", "env=prod", "--network", "192.0.2.0/24", "--network", "2001:db8::/32"),
    )
    assert (made.exit_code, made.stdout) == (0, "mk_k1_secret\n")
    (request,) = server.called("CreateApiKey")
    assert dict(request.labels) == {"team": "shop", "env": "prod"}
    assert list(request.allowed_networks) == ["192.0.2.0/24", "2001:db8::/32"]
    assert server.acted[-1] == ("CreateApiKey", shop)
    await ctl("keys", "create", "ci", "--scope", "read")
    listed = (await ctl("keys", "list")).stdout
    assert "env=prod, team=shop" in listed
    assert "192.0.2.0/24, 2001:db8::/32" in listed
    assert listed.splitlines()[1].split()[-2:] == ["all", "everywhere"]


@pytest.mark.usefixtures("signed_in")
async def test_sessions(server: FakeMonitord, ctl: Ctl) -> None:
    assert "monitorctl login" in (await ctl("sessions", "list")).stderr
    old, own = server.begin_session(), server.begin_session(current=True)
    lines = (await ctl("sessions", "list")).stdout.splitlines()
    assert lines[1].split()[:2] == ["*", own.id]
    assert old.id in lines[2]
    assert (await ctl("sessions", "revoke", old.id)).exit_code == 0
    assert json.loads((await ctl("sessions", "list", "-o", "json")).stdout)["sessions"][0]["id"] == own.id
    assert len(server.sessions) == 1


@pytest.mark.usefixtures("signed_in")
async def test_a_new_password(server: FakeMonitord, ctl: Ctl) -> None:
    asked = await ctl("passwd")
    assert (asked.exit_code, "use --password-stdin" in asked.stderr) == (2, True)
    missing = await ctl("passwd", "--password-stdin", stdin="correct horse\n")
    assert (missing.exit_code, "a line each" in missing.stderr) == (2, True)
    wrong = await ctl("passwd", "--password-stdin", stdin="wrong horse\nbattery staple\n")
    assert (wrong.exit_code, wrong.stderr) == (4, "Error: The old password is wrong.\n")
    short = await ctl("passwd", "--password-stdin", stdin="correct horse\nx\n")
    assert (short.exit_code, "new_password: must have at least 8 characters" in short.stderr) == (2, True)
    changed = await ctl("passwd", "--password-stdin", stdin="correct horse\nbattery staple\n")
    assert (changed.exit_code, server.password) == (0, "battery staple")
    assert (await ctl("list")).exit_code == 0, "the session goes on"
    assert not any("staple" in text for text in (changed.stdout, changed.stderr))


@pytest.mark.usefixtures("signed_in")
async def test_a_new_password_is_asked_for_twice_at_a_terminal(
    server: FakeMonitord, ctl: Ctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("monitord_client.monitorctl.account_commands.sys", terminal)
    typed = ["correct horse", "battery staple", "battery stable", "battery staple", "battery staple"]
    changed = await ctl("passwd", stdin="".join(f"{line}\n" for line in typed))
    assert (changed.exit_code, server.password) == (0, "battery staple")
    assert f"Old password of {MINE}" in changed.stderr
    assert not any(line in changed.output for line in typed)


async def test_whoami_tells_user_proof_organisation_and_role(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    told = (await ctl("whoami")).stdout
    for words in (MINE, "with a password", "Ada (id 1, personal)", "owner", "MONITORD_API_KEY", server.address):
        assert words in told
    server.teams[shop].role = ROLE_VIEWER
    told = (await ctl("whoami", "--organisation", "Shop")).stdout
    assert "Shop (id 2, shared)" in told
    assert "viewer" in told
    data = json.loads((await ctl("whoami", "-o", "json")).stdout)
    assert (data["user"]["email"], data["organisation"]["role"]) == (MINE, "ROLE_OWNER")


def _happened(server: FakeMonitord, action: str, kind: str, thing: str, *, user: int = 1, **fields: object) -> None:
    event = AuditEvent(id=len(server.events) + 1, user_id=user, action=action, kind=kind, thing=thing)
    event.user_email = MINE if user == 1 else BOB if user else ""
    event.time.FromSeconds(1_700_000_000 + event.id)
    for name in ("before", "after"):
        if isinstance(value := fields.get(name), dict):
            getattr(event, name).update(value)
    event.credential, event.address = "key:k1" if user == 1 else "", "192.0.2.7"
    server.events.append(event)


async def test_audit_tells_who_did_what(server: FakeMonitord, ctl: Ctl, shop: int) -> None:
    assert (await ctl("audit")).stderr == "Nothing was done yet.\n"
    _happened(server, "created", "monitor", "5", after={"name": "shop\x1b[2J", "url": "x"})
    _happened(server, "changed", "monitor", "5", user=7, before={"name": "a"}, after={"name": "b", "interval": 2})
    _happened(server, "sign_in_failed", "user", "1", user=0, after={"email": MINE})
    lines = [line.split() for line in (await ctl("audit", "--organisation", "Shop")).stdout.splitlines()[1:]]
    assert [line[2:] for line in lines] == [
        ["-", "sign_in_failed", "user", "1", MINE, "192.0.2.7"],
        [BOB, "changed", "monitor", "5", "interval,", "name", "192.0.2.7"],
        [MINE, "(key:k1)", "created", "monitor", "5", "shop\ufffd[2J", "192.0.2.7"],
    ]
    assert server.acted[-1] == ("ListAuditEvents", shop)
    as_json = await ctl(
        *("--organisation", "Shop", "audit", "--by", BOB, "--kind", "monitor", "--since", "2023-01-01", "-o", "json")
    )
    (event,) = json.loads(as_json.stdout)["events"]
    assert event["before"] == {"name": "a"}
    assert server.called("ListAuditEvents")[-1].by_user == 7
    assert len(json.loads((await ctl("audit", "-n", "2", "-o", "json")).stdout)["events"]) == 2
    await ctl("audit", "--by", "99")
    assert server.called("ListAuditEvents")[-1].by_user == 99, "somebody who is no member any more"
    none = await ctl("audit", "--kind", "monitors")
    assert "Nothing was done that fits these conditions. Of the kind 'monitors'" in none.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("monitorctl org show Sh", ["Shed", "Shop"]),
        ("monitorctl list --organisation Sho", ["Shop"]),
        ("monitorctl member rm --organisation Shop bo", [BOB]),
        ("monitorctl audit --kind mem", ["member"]),
        ("monitorctl member role --organisation Shop bob@example.org ed", ["editor"]),
    ],
)
async def test_names_complete(
    server: FakeMonitord, ctl: Ctl, shop: int, monkeypatch: pytest.MonkeyPatch, words: str, offered: list[str]
) -> None:
    server.found_team("Shed")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    monkeypatch.setenv("_MONITORCTL_COMPLETE", "complete_bash")
    told = await asyncio.to_thread(CliRunner().invoke, build(), [], prog_name="monitorctl")
    assert sorted(told.stdout.split()) == offered
    assert "MONITORD_ORGANISATION" not in os.environ
