from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.procfile import parse


def test_a_procfile_from_the_wild_is_read_as_its_author_meant() -> None:
    text = (
        "\ufeff# what runs here\r\n\r\n"
        "cron: node worker.js # every minute\r\n"
        "web: gunicorn app:app --log-format '# %(m)s' # the site\r\n"
        "   worker:   python -u worker.py   \r\n"
        'release: ./manage.py migrate && echo "a # b"\r\n'
        "custom-type_2: echo -n\r\n"
        "this line says nothing\r\n"
        f"{'# more words ' * 500}\r\n"
    )

    assert parse(text) == {
        "cron": "node worker.js",
        "web": "gunicorn app:app --log-format '# %(m)s'",
        "worker": "python -u worker.py",
        "release": './manage.py migrate && echo "a # b"',
        "custom-type_2": "echo -n",
    }


def test_a_hash_inside_a_word_is_no_comment() -> None:
    assert parse("web: serve /#/home") == {"web": "serve /#/home"}


def test_the_last_of_two_lines_of_one_type_counts() -> None:
    assert parse("web: old\nworker: w\nweb: new") == {"worker": "w", "web": "new"}


def test_an_empty_procfile_declares_nothing() -> None:
    assert parse("# nothing\n\n") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [("web:", "gives no command"), ("web: # later", "gives no command"), ("gunicorn app", "no line of the form"),
     (f"{'x' * 41}: y", "too long"), ("\n".join(f"p{n}: x" for n in range(51)), "more than 50")],
)  # fmt: skip
def test_what_could_not_be_started_is_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(BuildFailed, match=words) as failed:
        parse(text)

    assert failed.value.code == "procfile_invalid"


@given(st.text())
def test_no_text_at_all_breaks_the_parser(text: str) -> None:
    try:
        processes = parse(text)
    except BuildFailed:
        return
    assert all(command and command == command.strip() for command in processes.values())
