import re

import pytest

from monitord.environment import SettingsError, load
from monitord.settings import EgressMode, Settings, settings_table

TLS = {"MONITORD_TLS_CERT": "cert.pem", "MONITORD_TLS_KEY": "key.pem"}
PLAIN_HTTP = {"MONITORD_ALLOW_PLAINTEXT_HTTP": "true"}


def problems(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(variables)
    return caught.value.problems


def test_defaults_need_no_environment():
    settings = load({})
    assert settings.port == 50051
    assert settings.metrics_port == 9464
    assert settings.egress_mode is EgressMode.PRIVATE
    assert settings.state_dir.is_absolute()


def test_values_are_read_and_empty_ones_count_as_not_set():
    settings = load(
        {
            "MONITORD_PORT": "6000",
            "MONITORD_METRICS_PER_MONITOR": "false",
            "MONITORD_EGRESS_DENY": "10.0.0.0/8, [fd00::5]:5432,192.0.2.7:80",
            "MONITORD_DATABASE_URL": "",
            "HOME_OF_SOMEBODY_ELSE": "x",
        }
    )
    assert settings.port == 6000
    assert settings.metrics_per_monitor is False
    assert settings.egress_deny == ("10.0.0.0/8", "[fd00::5]:5432", "192.0.2.7:80")
    assert settings.database_url is None


@pytest.mark.parametrize("name", ["MONITORD_DATABASE_URL", "DATABASE_URL", "POSTGRES_CONNECTION"])
@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_the_database_has_three_names_and_three_spellings(name, scheme):
    settings = load({name: f"{scheme}://u:p@h/d"})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:p@h/d"


def test_unknown_variables_stop_the_start_with_a_suggestion():
    (typo,) = problems(MONITORD_METRICS_PROT="1")
    assert typo == "MONITORD_METRICS_PROT is not a setting; did you mean MONITORD_METRICS_PORT?"
    (alien,) = problems(MONITORD_FLUX_CAPACITOR="1")
    assert "monitord settings" in alien
    (case,) = problems(MONITORD_port="1")
    assert "did you mean MONITORD_PORT?" in case


def test_all_problems_are_told_at_once_and_in_the_operators_spelling():
    found = problems(MONITORD_PROT="1", PORT="99999", MONITORD_SPOOL_ROWS="many", MONITORD_EGRESS_ALLOW="localhost")
    assert len(found) == 4
    assert any(line.startswith("PORT=99999: ") for line in found)
    assert any(line.startswith("MONITORD_SPOOL_ROWS=many: ") for line in found)
    assert any("'localhost' is neither a network" in line for line in found)


def test_no_message_shows_a_secret():
    found = problems(
        DATABASE_URL="mysql://root:hunter2@db/x", MONITORD_ADMIN_PASSWORD="hunter2" * 20, MONITORD_TLS_CERT="a.pem"
    )
    assert len(found) == 2
    assert "hunter2" not in "".join(found)
    assert "hunter2" not in repr(load({"MONITORD_ADMIN_PASSWORD": "hunter2!"}))


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"MONITORD_PORT": "1", "PORT": "2"}, "different values"),
        ({"MONITORD_TLS_CERT": "cert.pem"}, "go together"),
        ({"MONITORD_HOST": "0.0.0.0"}, "without TLS"),
        ({"MONITORD_HOST": "db.internal"}, "without TLS"),
        ({"MONITORD_HOST": "0.0.0.0", "MONITORD_ALLOW_PLAINTEXT_HTTP": "true"}, "MONITORD_ALLOW_PLAINTEXT=true"),
        ({"MONITORD_PING_HOST": "0.0.0.0"}, "MONITORD_HTTP_TLS=true"),
        ({"MONITORD_PING_HOST": "::", "MONITORD_PUBLIC_URL": "http://m.example.org"}, "the https:// URL of a proxy"),
        ({"MONITORD_PING_HOST": "0.0.0.0", **TLS}, "MONITORD_HTTP_TLS=true"),
        ({"MONITORD_METRICS_HOST": "192.0.2.7"}, "MONITORD_ALLOW_PLAINTEXT_HTTP=true"),
        ({"MONITORD_METRICS_HOST": "0.0.0.0", **TLS, "MONITORD_HTTP_TLS": "true"}, "MONITORD_ALLOW_PLAINTEXT_HTTP"),
        ({"MONITORD_TLS_CLIENT_CA": "ca.pem"}, "set MONITORD_TLS_CERT and MONITORD_TLS_KEY too"),
        ({"MONITORD_HTTP_TLS": "true"}, "set MONITORD_TLS_CERT and MONITORD_TLS_KEY too"),
        ({"MONITORD_TLS_CA": "ca.pem"}, "did you mean MONITORD_TLS_"),
        ({"MONITORD_PORT": "9464"}, "change one"),
        ({"MONITORD_EGRESS_ALLOW": "10.0.0.0/8", "MONITORD_EGRESS_DENY": "10.0.0.0/8"}, "take it out of one"),
        ({"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}, "MONITORD_DEVELOPMENT"),
        ({"MONITORD_HEARTBEAT_URL": "example.org"}, "https://"),
        ({"MONITORD_ENV_FILE": "/nonexistent/env"}, "not a file"),
        ({"MONITORD_EGRESS_DENY": "10.0.0.1:0"}, "neither a network"),
        ({"MONITORD_EGRESS_DENY": "10.0.0.0/8:80"}, "neither a network"),
        ({"MONITORD_EGRESS_DENY": "10.0.0.1/8"}, "neither a network"),
        ({"MONITORD_ADMIN_PASSWORD": "ü" * 37}, "72 bytes"),
        ({"MONITORD_BRIDGE": "on", "MONITORD_PING_HOST": "0.0.0.0"}, "in the clear"),
        ({"MONITORD_BRIDGE": "on", "MONITORD_PING_HOST": "::", "MONITORD_PUBLIC_URL": "http://m.example.org"}, "clear"),
        (
            {"MONITORD_BRIDGE": "on", "MONITORD_PING_HOST": "0.0.0.0", "MONITORD_ALLOW_PLAINTEXT_HTTP": "true"},
            "MONITORD_ALLOW_PLAINTEXT=true",
        ),
        ({"MONITORD_BRIDGE": "maybe"}, "'auto', 'on' or 'off'"),
        ({"MONITORD_BRIDGE": "off", "MONITORD_CORS_ORIGINS": "*"}, "MONITORD_BRIDGE=on"),
        (
            {**PLAIN_HTTP, "MONITORD_PING_HOST": "0.0.0.0", "MONITORD_TRUSTED_PROXIES": "10.0.0.0/8"},
            "MONITORD_BRIDGE=on",
        ),
        ({"MONITORD_CORS_ORIGINS": "*,https://a.example.org"}, "name it alone"),
        ({"MONITORD_CORS_ORIGINS": "a.example.org"}, "not an origin"),
        ({"MONITORD_CORS_ORIGINS": "https://a.example.org/"}, "not an origin"),
        ({"MONITORD_CORS_ORIGINS": "https://a.example.org:443"}, "not an origin"),
        ({"MONITORD_CORS_ORIGINS": "https://*.example.org"}, "not an origin"),
        ({"MONITORD_CORS_ORIGINS": "https://A.example.org"}, "not an origin"),
        ({"MONITORD_CORS_ORIGINS": "null"}, "not an origin"),
        ({"MONITORD_CORS_ORIGINS": "https://a.example.org:x"}, "not an origin"),
        ({"MONITORD_TRUSTED_PROXIES": "proxy.internal"}, "not a network"),
    ],
)
def test_unsafe_and_contradictory_settings_stop_the_start(variables, says):
    (problem,) = problems(**variables)
    assert says in problem


@pytest.mark.parametrize(
    "variables",
    [
        {"MONITORD_PORT": "7", "PORT": "7"},
        {"MONITORD_HOST": "::1"},
        {"MONITORD_HOST": "0.0.0.0", "MONITORD_ALLOW_PLAINTEXT": "true"},
        {"MONITORD_HOST": "0.0.0.0", "MONITORD_TLS_CERT": "c", "MONITORD_TLS_KEY": "k"},
        {"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099", "MONITORD_DEVELOPMENT": "true"},
        {"MONITORD_PORT": "0", "MONITORD_METRICS_PORT": "0"},
        {"MONITORD_HOST": "0.0.0.0", **TLS, "MONITORD_TLS_CLIENT_CA": "ca.pem"},
        {"MONITORD_PING_HOST": "0.0.0.0", "MONITORD_METRICS_HOST": "0.0.0.0", **PLAIN_HTTP},
        {"MONITORD_PING_HOST": "0.0.0.0", "MONITORD_METRICS_HOST": "0.0.0.0", "MONITORD_ALLOW_PLAINTEXT": "true"},
        {"MONITORD_PING_HOST": "0.0.0.0", **TLS, "MONITORD_HTTP_TLS": "true"},
        {"MONITORD_PING_HOST": "0.0.0.0", "MONITORD_PUBLIC_URL": "https://m.example.org"},
        {"MONITORD_BRIDGE": "on", "MONITORD_PING_HOST": "0.0.0.0", **TLS, "MONITORD_HTTP_TLS": "true"},
        {"MONITORD_BRIDGE": "on", "MONITORD_PING_HOST": "0.0.0.0", "MONITORD_PUBLIC_URL": "https://m.example.org"},
        {"MONITORD_BRIDGE": "on", "MONITORD_PING_HOST": "0.0.0.0", "MONITORD_ALLOW_PLAINTEXT": "true"},
        {"MONITORD_CORS_ORIGINS": "https://a.example.org, http://localhost:5173,http://[::1]:8080"},
        {"MONITORD_TRUSTED_PROXIES": "10.0.0.0/8,fd00::1"},
        {"MONITORD_ADDRESS": "localhost:50051", "MONITORD_API_KEY": "key", "MONITORD_CLIENT_CERT_FILE": "me.pem"},
        {"MONITORD_ORGANISATION": "Shop"},
    ],
)
def test_what_looks_close_to_wrong_but_is_right(variables):
    load(variables)


@pytest.mark.parametrize(
    ("bridge", "host", "on"),
    [
        ("auto", "127.0.0.1", True),
        ("auto", "::1", True),
        ("auto", "0.0.0.0", False),
        ("on", "0.0.0.0", True),
        ("off", "127.0.0.1", False),
    ],
)
def test_browsers_are_let_in_from_this_machine_unless_more_is_said(bridge, host, on):
    variables = {"MONITORD_BRIDGE": bridge, "MONITORD_PING_HOST": host, "MONITORD_PUBLIC_URL": "https://m.example.org"}
    assert load(variables).bridge_on is on


def test_a_file_is_read_too_and_the_environment_wins(tmp_path):
    env = tmp_path / ".env"
    env.write_text(
        'MONITORD_PORT=1111\nMONITORD_METRICS_PORT=2222\nNODE_ENV=x\nPOSTGRES_CONNECTION="postgres://u:a$b@h/d"\n'
    )
    settings = load({"MONITORD_ENV_FILE": str(env), "MONITORD_PORT": "3333"})
    assert (settings.port, settings.metrics_port) == (3333, 2222)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://u:a$b@h/d"
    env.write_text("MONITORD_PROT=1\n")
    (problem,) = problems(MONITORD_ENV_FILE=str(env))
    assert "MONITORD_PORT" in problem


def test_the_table_tells_every_setting_its_default_and_its_meaning():
    table = settings_table()
    for name, field in Settings.model_fields.items():
        (row,) = re.findall(rf"^\| `MONITORD_{name.upper()}`.*$", table, re.MULTILINE)
        assert field.description
        assert field.description in row
        assert row.count(" | ") == 2, "a cell must not break the table"


@pytest.mark.parametrize(
    "anchor", ["example.com", "example.com:0", "https://example.com:443", "192.0.2.1:70000", ":53"]
)
def test_an_anchor_is_a_host_and_a_port(anchor):
    (wrong,) = problems(MONITORD_ANCHORS=f"192.0.2.1:53, {anchor}")
    assert "such as example.com:443" in wrong
    settings = load({"MONITORD_ANCHORS": "192.0.2.1:53, example.com:443,[2001:db8::1]:53"})
    assert len(settings.anchors) == 3


def test_new_organisations_have_a_plan_where_strangers_may_register():
    strangers = {"MONITORD_REGISTRATION": "open", "MONITORD_EGRESS_MODE": "public"}
    assert load({}).plan_of_new is None
    assert load({"MONITORD_REGISTRATION": "invitation"}).plan_of_new is None
    assert load(strangers).plan_of_new == "FREE"
    assert load(strangers | {"MONITORD_DEFAULT_PLAN": "none"}).plan_of_new is None
    assert load(strangers | {"MONITORD_DEFAULT_PLAN": "pro"}).plan_of_new == "PRO"
    assert load({"MONITORD_DEFAULT_PLAN": "TEAM"}).plan_of_new == "TEAM"
    assert "auto, none, or the name of a plan" in problems(MONITORD_DEFAULT_PLAN="big plan")[0]
