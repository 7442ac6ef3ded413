from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skypanel.logs.levels import guess, of_status

LEVELS = {"debug", "info", "warn", "error"}


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"level":"error","msg":"x"}', "error"),
        ('{"msg":"x","severity":"WARNING"}', "warn"),
        ('{"level":30,"msg":"error"}', "info"),
        ('{"level":50}', "error"),
        ('{"level":true,"msg":"ERROR"}', "info"),
        ('{"broken', "info"),
        ("ts=1 level=warn msg=x", "warn"),
        ('time="now" level="error" msg="INFO"', "error"),
        ("ERROR:root:boom", "error"),
        ("[2026-01-01 00:00:00 +0000] [7] [INFO] Starting gunicorn", "info"),
        ("[2026-01-01 00:00:00 +0000] [7] [ERROR] Worker exited", "error"),
        ("2026-01-01 12:00:00,123 - app - WARNING - careful", "warn"),
        ("2026/01/01 00:00:00 [error] 7#7: *1 open() failed", "error"),
        ("\x1b[31mERROR\x1b[0m something", "error"),
        ("\x1b]8;;http://x\x07WARN\x1b]8;;\x07 link", "warn"),
        ("npm ERR! missing script", "error"),
        ("npm warn deprecated x", "warn"),
        ("Traceback (most recent call last):", "error"),
        ("ValueError: no", "error"),
        ("TypeError: x is not a function", "error"),
        ("panic: runtime error", "error"),
        ("warning: unused variable", "warn"),
        ("DEBUG connecting", "debug"),
        ('INFO: 10.0.0.1 - "GET /ERROR" 200', "info"),
        ('10.0.0.1 - - "GET /ERROR HTTP/1.1" 200', "info"),
        ("0 errors found", "info"),
        ("no error here", "info"),
        ("", "info"),
    ],
)
def test_the_level_is_read_from_the_line(line: str, level: str) -> None:
    assert guess(line) == level


@given(st.text())
def test_any_text_has_a_level(line: str) -> None:
    assert guess(line) in LEVELS
    assert guess("{" + line) in LEVELS


@given(st.text(alphabet="\x1b[]0;m(){}=\"'aERO", max_size=300))
def test_broken_escapes_have_a_level(line: str) -> None:
    assert guess(line) in LEVELS


@given(st.sampled_from(["ERROR", "WARN", "INFO", "DEBUG"]), st.text(alphabet="abc xyz", max_size=80))
def test_colours_do_not_change_the_level(word: str, rest: str) -> None:
    assert guess(f"\x1b[1;31m{word}\x1b[0m {rest}") == guess(f"{word} {rest}") == word.lower()


@pytest.mark.parametrize(
    ("status", "level"), [(200, "info"), (304, "info"), (404, "warn"), (499, "warn"), (500, "error")]
)
def test_the_status_of_an_answer_makes_the_level(status: int, level: str) -> None:
    assert of_status(status) == level
