from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skypanel.apps.dotenv_files import MAX_FILE_BYTES, export_text, parse
from skypanel.apps.variables import name_problem
from skypanel.errors import Invalid

CANARY = "canary5f2b9c"

CORPUS: list[tuple[str, dict[str, str]]] = [
    ("A=b", {"A": "b"}),
    ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
    ("\ufeffA=b", {"A": "b"}),
    ("export A=b\nexport  C='d e'", {"A": "b", "C": "d e"}),
    ("# comment\n\n  A=b # why\n", {"A": "b"}),
    ("A=b#c", {"A": "b#c"}),
    ('A="b # c" # why', {"A": "b # c"}),
    ("A='$HOME ${B}'\nB=$A", {"A": "$HOME ${B}", "B": "$A"}),
    ('A="${B}"', {"A": "${B}"}),
    ("A=", {"A": ""}),
    ("A=''", {"A": ""}),
    ("A = b", {"A": "b"}),
    ("A=  b  ", {"A": "b"}),
    ("A='  b  '", {"A": "  b  "}),
    ('A="b\\nc"', {"A": "b\nc"}),
    ("A='b\\nc'", {"A": "b\\nc"}),
    ('KEY="-----BEGIN KEY-----\nMIIEow==\n-----END KEY-----"\nB=c', {
        "KEY": "-----BEGIN KEY-----\nMIIEow==\n-----END KEY-----", "B": "c",
    }),
    ('A="b \\"quoted\\" c"', {"A": 'b "quoted" c'}),
    ("A=b=c==", {"A": "b=c=="}),
    ("URL=postgres://u:p@h/d?x=1&y=2", {"URL": "postgres://u:p@h/d?x=1&y=2"}),
    ("A=1\nA=2", {"A": "2"}),
    ("A=ünï🙂", {"A": "ünï🙂"}),
    ('JSON={"a": "b"}', {"JSON": '{"a": "b"}'}),
    ("A=`id` $(id)", {"A": "`id` $(id)"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CORPUS)
def test_files_as_people_write_them(text: str, expected: dict[str, str]) -> None:
    parsed = parse(text)
    assert parsed.variables == expected
    assert parsed.ignored == ()


def test_what_is_no_variable_is_reported_by_line_and_never_by_content() -> None:
    text = f"A=b\n\nPORT=5000\n{CANARY}\n9{CANARY}=x\nMASKED=***\n = {CANARY}\nSKYPANEL_APP={CANARY}\n"
    parsed = parse(text)
    assert parsed.variables == {"A": "b"}
    assert [(line.line, line.name) for line in parsed.ignored] == [
        (3, "PORT"), (4, None), (5, None), (6, "MASKED"), (7, None), (8, "SKYPANEL_APP"),
    ]  # fmt: skip
    assert CANARY not in repr(parsed)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_quote_that_never_closes_refuses_the_file(quote: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse(f"A=b\nKEY={quote}{CANARY}\nabcd==\n")
    assert "line 2" in refused.value.detail
    assert CANARY not in refused.value.detail


def test_a_file_that_would_take_the_parser_minutes_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        parse("A=b\nB=x" + " " * 400_000 + "y")
    assert refused.value.code == "env_file_invalid"
    with pytest.raises(Invalid):
        parse("A=" + "x" * MAX_FILE_BYTES)


def test_an_export_imported_again_changes_nothing() -> None:
    assert parse(export_text(["A", "B"])).variables == {}


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda name: name_problem(name) is None)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=60)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(NAMES, VALUES.filter(lambda value: value != "***"), max_size=5))
def test_single_quoted_values_arrive_as_they_were(variables: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return value.replace("\\", "\\\\").replace("'", "\\'")

    if any(" " * 201 in value for value in variables.values()):
        return
    text = "".join(f"{name}='{quoted(value)}'\n" for name, value in variables.items())
    assert parse(text).variables == variables


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        parsed = parse(text)
    except Invalid:
        return
    assert all(isinstance(value, str) for value in parsed.variables.values())
