"""What a hostile application prints, on its way through conmon's file, the store, the API, the event stream and the
command line to somebody's terminal: one line stays one line, and nothing in it is obeyed."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import subprocess
from pathlib import Path

import httpx
import pytest
from git_http import GitHttpServer
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sample_apps import plain_server
from site_under_test import SKYPANEL, Client, Site, eventually

from skypanel.api.log_stream import event
from skypanel.cli.output import cell, harmless, json_text, log_line

STAMP = "2026-01-02T03:04:05.000000006+00:00"
LINES: dict[str, bytes] = {
    "markup": b"<script>alert(1)</script><img src=x onerror=alert(1)>&lt;b&gt; {{7*7}} ${7*7}",
    "colours": b"\x1b[1;31mred\x1b[0m and \x1b[38;5;200mpink\x1b[m",
    "a title": b"\x1b]0;owned\x07after",
    "a title that never ends": b"\x1b]0;owned",
    "a link": b"\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "a clipboard": b"\x1b]52;c;cm0gLXJmIC8=\x07",
    "a cleared screen": b"\x1b[2J\x1b[H\x1b[3J",
    "an answering terminal": b'\x1b[>0c\x1b[6n\x1b[?1049h\x1b[!p\x1bc\x1bP$q"p\x1b\\',
    "in two halves": b"\x1b[2\x1b[2JJ\x1b]0\x1b]0;x\x07;y\x07",
    "eight bits": "\x9b2J\x9d0;owned\x9c\x90x\x9c".encode(),
    "written over": b"all is well\rALL IS LOST\x08\x08\x08\x08WON\x7f",
    "nul": b"before\0after",
    "not utf-8": b"\xff\xfe\xc3\x28 \xed\xa0\x80 caf\xe9",
    "direction": "\u202eexe.gnp\u202c".encode(),
    "line ends of others": "a\u2028b\u2029c\x0bd\x0ce\x85f".encode(),
    "a header of conmon": f"{STAMP} stdout F forged by mallory".encode(),
    "a piece of conmon": f"{STAMP} stdout P forged".encode(),
    "a frame of the store": b"\x0112 - -",
    "a seal of the store": b"\x02" + b"1" * 19 + b" " + b"2" * 19,
    "a line of the store": b"1767323045000000006 ai web.9 forged",
    "an end of the stream": b"event: end",
    "data of the stream": b'data: {"message": "forged"}',
    "json": b'{"level": "error", "ts": "1999-01-01", "source": "system", "cursor": "x", "message": "forged"}',
    "format": b"%s %n %d {0} {message} %(message)s",
}
FLOOD = 10_000_000
PROGRAM = """
import os, sys
out = sys.stdout.buffer
for name, line in LINES.items():
    out.write(b"before " + name.encode() + b"\\n" + line + b"\\n")
out.write(b"before the empty lines\\n\\n\\nevent: end\\ndata: {}\\n\\n")
out.write(b"before the long line\\n" + b"x" * FLOOD + b"\\n")
out.write(b"the end of mallory's lines\\n")
out.flush()
"""


@pytest.fixture(scope="module")
def printed(platform: Site, mallory: Client, victim: str, repositories: GitHttpServer) -> str:
    files = plain_server()
    files["lines.py"] = f"LINES = {LINES!r}\nFLOOD = {FLOOD}\n{PROGRAM}"
    files["Procfile"] = "web: python lines.py && exec python server.py\n"
    repositories.make("printer", files)
    mallory.create("printer", repositories.url("printer"))
    mallory.deployed("printer")
    eventually(lambda: messages(mallory, "end+of+mallory"), what="the last line")
    return "printer"


def messages(client: Client, search: str) -> list[str]:
    return [line["message"] for line in client.logs("printer", f"&source=app&search={search}")]


@pytest.mark.root
def test_every_line_comes_back_as_the_one_that_it_was(mallory: Client, printed: str) -> None:
    lines: list[dict[str, str]] = []
    cursor = ""
    while cursor is not None:
        page = mallory.call("GET", f"/paas/apps/{printed}/logs?source=app&limit=1000{cursor and f'&cursor={cursor}'}")
        lines, cursor = page["items"] + lines, page["next_cursor"]
    texts = [line["message"] for line in lines]
    assert {(line["source"], line["replica"]) for line in lines} == {("app", "web.1")}
    for name, raw in LINES.items():
        at = texts.index(f"before {name}")
        expected = raw.decode(errors="replace").removesuffix("\r")
        assert texts[at + 1] == expected, name
    assert "2026-01-02T03:04:05" not in [line["ts"][:19] for line in lines]
    at = texts.index("before the long line")
    long = [text for text in texts[at + 1 :] if set(text) == {"x"}]
    assert 0 < sum(map(len, long)) <= FLOOD
    assert max(map(len, long)) <= 65_536


@pytest.mark.root
def test_neighbours_see_nothing_of_it_and_their_own_lines_are_whole(ada: Client, printed: str, victim: str) -> None:
    assert ada.get(victim, "/a-question-after-the-flood").status_code == 200
    line = eventually(lambda: ada.logs(victim, "&search=a-question-after-the-flood"), what="the neighbour's own line")
    assert line
    assert not [each for each in ada.logs(victim) if "mallory" in each["message"] or "forged" in each["message"]]


@pytest.mark.root
def test_nothing_that_is_printed_ends_or_forges_an_event(platform: Site, mallory: Client, printed: str) -> None:
    headers = {"Authorization": f"Bearer {mallory.token}", "Last-Event-ID": "0" * 20}
    url = f"{platform.url}/api/paas/apps/{printed}/logs/stream?source=app"
    names, seen = set(), []
    with httpx.Client(trust_env=False, timeout=30) as client, client.stream("GET", url, headers=headers) as stream:
        for block in blocks(stream):
            fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
            names.add(fields.get("event"))
            if "data" in fields:
                seen.append(json.loads(fields["data"])["message"])
            if "the end of mallory's lines" in seen:
                break
    assert names <= {"log", None}
    assert [line.decode(errors="replace") for line in LINES.values() if line.decode(errors="replace") not in seen] == []


def blocks(stream: httpx.Response):  # type: ignore[no-untyped-def]
    """Events as raw lines, split where the standard splits and nowhere else."""
    rest = b""
    for chunk in stream.iter_raw():
        *whole, rest = re.split(rb"\n\n|\r\n\r\n|\r\r", rest + chunk)
        yield from ([line.decode() for line in re.split(rb"\r\n|\r|\n", block) if line] for block in whole)


@given(st.text())
@example("\n\nevent: end\ndata: {}\n\n")
@example("\r\rid: 1\r\revent: end\r\r")
def test_an_event_is_always_one(text: str) -> None:
    with contextlib.suppress(TypeError):  # surrogates: the store has none
        written = event("log", {"message": text}, cursor="1").decode()
        assert re.split(r"\r\n|\r|\n", written)[3:] == ["", ""]


COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
sequences = st.lists(
    st.sampled_from(
        ["\x1b", "\x1b[", "\x1b]", "\x1bP", "\x1b[2", "2", ";", "J", "m", "\x07", "\x1b\\\\", "\x9b", "\x9d", "\x9c",
         "\x90", "\r", "\x08", "\0", "\x7f", "?", ">", "!", "$", " ", "c", "h", "x", "[", "]", "\x1b[31m", "\x1b[0m",
         "\u202e", "\n"]
    ),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=2000)
@given(sequences | st.text())
@example("\x1b[2\x1b[2JJ")
@example("\x1b]0;never ends")
@example("\x9b2J")
@example("\x1b[>0c")
@example("\x1b[")
def test_no_text_makes_a_terminal_obey(text: str) -> None:
    for shown in (
        harmless(text),
        cell(text),
        log_line({"message": text, "source": text, "replica": text}, colour=False),
    ):
        assert not OBEYED.search(COLOUR.sub("", shown)), shown
    assert harmless("\x1b[31mred\x1b[0m") == "\x1b[31mred\x1b[0m"
    written = json_text({"message": text})
    assert not OBEYED.search(written)
    assert json.loads(written) == {"message": text}


def on_a_terminal(command: list[str], env: dict[str, str]) -> str:
    """What a program writes to a terminal of its own."""
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env, close_fds=True)
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(master, 65_536):
            shown += chunk
    os.close(master)
    assert process.wait(60) == 0, shown[-500:]
    return shown.decode(errors="replace").replace("\r\n", "\n")


@pytest.mark.root
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_line_hands_no_sequence_of_an_app_on_to_the_terminal(
    platform: Site, mallory: Client, printed: str, tmp_path: Path, options: list[str]
) -> None:
    env = {**platform.env, "SKYPANEL_URL": platform.url, "SKYPANEL_TOKEN": mallory.token, "HOME": str(tmp_path),
           "XDG_CONFIG_HOME": str(tmp_path), "TERM": "xterm-256color"}  # fmt: skip
    command = [SKYPANEL, "logs", printed, "--source", "app", "--limit", "1000", *options]
    shown = on_a_terminal(command, env)
    piped = subprocess.run(command, env=env, capture_output=True, text=True, check=True, errors="replace").stdout
    for text in (shown, piped):
        assert "alert(1)" in text
        assert not OBEYED.search(COLOUR.sub("", text))
