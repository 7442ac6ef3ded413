import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skypanel.cli.client import Event, parse_events, path, reachable
from skypanel.cli.config import Config, config_path, load_config, save_config
from skypanel.cli.exits import CliError, Exit
from skypanel.cli.logs import moment_of
from skypanel.cli.output import cell, harmless, log_line, megabytes, moment


def test_names_are_quoted_in_paths() -> None:
    assert path("paas", "apps", "../../admin?x=1", 3) == "/api/paas/apps/..%2F..%2Fadmin%3Fx%3D1/3"


def test_events_are_parsed_as_the_standard_says() -> None:
    lines = [": heartbeat", "", "id: 7", "event: log", "data: {", "data: }", "", "data: bye", "", "data: unfinished"]
    assert list(parse_events(iter(lines))) == [Event("log", "7", "{\n}"), Event("message", "7", "bye")]


def test_names_below_localhost_are_reached_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skypanel.cli.client._resolves", lambda name: False)
    assert reachable("http://panel.localhost:8080") == ("http://127.0.0.1:8080", {"Host": "panel.localhost:8080"})
    assert reachable("http://localhost:8080") == ("http://localhost:8080", {})
    monkeypatch.setattr("skypanel.cli.client._resolves", lambda name: True)
    assert reachable("http://panel.localhost:8080") == ("http://panel.localhost:8080", {})


def test_an_address_without_a_scheme_is_a_usage_error() -> None:
    with pytest.raises(CliError) as caught:
        reachable("panel.example.com")
    assert caught.value.exit_code is Exit.USAGE


def test_control_sequences_of_a_log_line_do_not_reach_the_terminal() -> None:
    assert harmless("\x1b]0;owned\x07a\x1b[2Jb\x08c\x1b[31mred\x1b[0m\x00") == "abc\x1b[31mred\x1b[0m"
    assert cell("two\nlines") == "two lines"


def test_a_log_line_is_shown_with_time_source_and_replica() -> None:
    line = {
        "ts": "2026-01-02T03:04:05.678Z",
        "source": "app",
        "replica": "web.1",
        "level": "error",
        "message": "boom\n",
    }
    assert log_line(line, colour=False) == "03:04:05 app[web.1] boom"
    assert "\x1b[31mboom" in log_line(line, colour=True)


def test_values_are_written_for_people() -> None:
    assert megabytes(1_500_000) == "1.5 MB"
    assert megabytes(None) == "-"
    assert moment("2026-01-02T03:04:05.678Z") == "2026-01-02 03:04:05"
    assert cell(True) == "yes"
    assert cell(["a", "b"]) == "a, b"


def test_a_span_is_a_moment_in_the_past_and_a_moment_stays() -> None:
    then = datetime.fromisoformat(str(moment_of("2h")))
    assert 7195 < (datetime.now(UTC) - then).total_seconds() < 7300
    assert moment_of("2026-01-31T12:00:00Z") == "2026-01-31T12:00:00Z"
    assert moment_of(None) is None


def test_the_configuration_is_kept_for_its_owner_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("SKYPANEL_URL", "SKYPANEL_TOKEN", "SKYPANEL_ORG"):
        monkeypatch.delenv(name, raising=False)
    save_config(Config(url="http://a/", token="t", organization="o"))
    assert config_path().stat().st_mode & 0o777 == 0o600
    assert load_config() == Config(url="http://a", token="t", organization="o")
    assert set(json.loads(config_path().read_text())) == {"url", "token", "organization"}


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    save_config(Config(url="http://a", token="t", organization="o"))
    monkeypatch.setenv("SKYPANEL_URL", "http://b")
    monkeypatch.setenv("SKYPANEL_TOKEN", "u")
    monkeypatch.setenv("SKYPANEL_ORG", "p")
    assert load_config() == Config(url="http://b", token="u", organization="p")
