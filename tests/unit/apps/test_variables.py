from __future__ import annotations

import pytest

from skypanel.apps.variables import MAX_VALUE_BYTES, check_changes, check_total, name_problem, value_problem
from skypanel.errors import Invalid

CANARY = "canary-5f2b9c"


@pytest.mark.parametrize("name", ["A", "_", "database_url", "X9", "DATABASE_URL", "PORTS", "SKYPANELX", "N" * 255])
def test_an_ordinary_name_is_possible(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "9A", "A-B", "A B", "A=B", "A\n", "A\0", "É", "A.B", "$(id)", "N" * 256, "PORT\n", " PORT"]
)
def test_a_name_a_shell_would_not_take_is_refused(name: str) -> None:
    assert name_problem(name) is not None


@pytest.mark.parametrize("name", ["PORT", "DYNO", "PS", "SOURCE_VERSION", "SKYPANEL_", "SKYPANEL_APP"])
def test_a_reserved_name_is_refused_with_the_list(name: str) -> None:
    problem = name_problem(name)
    assert problem is not None
    assert "PORT, DYNO, PS, SOURCE_VERSION" in problem


def test_values_may_hold_anything_a_process_can_be_given() -> None:
    for value in ("", " a ", "a\nb\r\n", "\t", "ü🙂", "$(id)`x`", "'\"", "x" * MAX_VALUE_BYTES):
        assert value_problem(value) is None


def test_values_no_process_can_be_given_are_refused() -> None:
    for value in ("a\0b", "\ud800", "x" * (MAX_VALUE_BYTES + 1), "ü" * (MAX_VALUE_BYTES // 2 + 1)):
        assert value_problem(value) is not None


def test_all_problems_are_named_at_once_and_no_value_is() -> None:
    with pytest.raises(Invalid) as refused:
        check_changes({f"A={CANARY}": "x", "PORT": CANARY, "OK": CANARY, "BIG": CANARY + "x" * MAX_VALUE_BYTES})
    assert [error.field for error in refused.value.errors] == ["vars.A", "vars.PORT", "vars.BIG"]
    assert CANARY not in repr(refused.value.errors) + str(refused.value)


def test_everything_together_has_a_limit() -> None:
    check_total({f"V{number}": "x" * 60_000 for number in range(4)})
    with pytest.raises(Invalid) as refused:
        check_total({f"V{number}": "x" * 60_000 for number in range(5)})
    assert refused.value.code == "env_too_large"
    with pytest.raises(Invalid):
        check_total({f"V{number}": "" for number in range(1001)})
