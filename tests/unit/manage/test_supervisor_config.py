import configparser
import shlex
from pathlib import Path

from skypanel.manage.supervisor import Program, programs, render

ROUTER = ["/venv/bin/python", "-I", "-S", "/code/launch.py", "--dir", "/data/router"]


def rendered(data_dir: str = "/data", **changes: object) -> configparser.RawConfigParser:
    wanted = programs(python="/venv/bin/python", server_port=4711, router=ROUTER)
    parser = configparser.RawConfigParser()
    parser.read_string(render(wanted, data_dir=Path(data_dir), user="root", **changes))  # type: ignore[arg-type]
    return parser


def test_there_is_one_program_for_server_worker_and_router() -> None:
    assert {s for s in rendered().sections() if s.startswith("program:")} == {
        "program:server",
        "program:worker",
        "program:router",
    }


def test_each_program_is_restarted_alone_and_logs_into_a_file_of_bounded_size() -> None:
    parser = rendered()
    for name in ("server", "worker", "router"):
        section = parser[f"program:{name}"]
        assert section["autorestart"] == "true"
        assert section["stdout_logfile"] == f"/data/log/{name}.log"
        assert int(section["stdout_logfile_maxbytes"]) > 0
        assert int(section["stdout_logfile_backups"]) > 0
        assert section["redirect_stderr"] == "true"


def test_stopping_never_reaches_further_than_the_program_itself() -> None:
    for name in ("server", "worker", "router"):
        section = rendered()[f"program:{name}"]
        assert "stopasgroup" not in section
        assert "killasgroup" not in section


def test_the_router_starts_first_and_stops_last() -> None:
    priorities = {p.name: p.priority for p in programs(python="p", server_port=1, router=ROUTER)}
    assert min(priorities, key=lambda name: priorities[name]) == "router"


def test_the_server_listens_on_loopback_only() -> None:
    command = shlex.split(rendered()["program:server"]["command"])
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "4711"


def test_every_program_goes_through_the_launcher() -> None:
    for name in ("server", "worker", "router"):
        command = shlex.split(rendered()[f"program:{name}"]["command"])
        assert command[:6] == ["/venv/bin/python", "-P", "-m", "skypanel.manage.launch", name, "--"]


def test_percent_signs_and_blanks_in_paths_survive() -> None:
    program = Program("x", ["/a b/python", "--dir", "/100%"], priority=1, stop_wait_s=1)
    text = render([program], data_dir=Path("/da ta%"), user=None)
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser["supervisord"]["directory"] == "/da ta%%"
    assert shlex.split(parser["program:x"]["command"].replace("%%", "%")) == ["/a b/python", "--dir", "/100%"]
    assert "user" not in parser["supervisord"]


def test_no_control_socket_is_opened() -> None:
    assert not {"unix_http_server", "inet_http_server"} & set(rendered().sections())
