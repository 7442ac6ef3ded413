from __future__ import annotations

import subprocess
from pathlib import Path

from skypanel.builds.launch import environment, launch


def run(home: Path, command: str, **env: str) -> str:
    variables = {"HOME": str(home), "PATH": "/usr/bin:/bin", **env}
    return subprocess.run(launch(command), env=variables, capture_output=True, text=True, check=True).stdout


def test_profiles_are_sourced_in_order_before_the_command(tmp_path: Path) -> None:
    (tmp_path / ".profile.d").mkdir()
    (tmp_path / ".profile.d" / "b.sh").write_text('export WORD="$WORD b"\n')
    (tmp_path / ".profile.d" / "a.sh").write_text("export WORD=a\n")
    (tmp_path / ".profile.d" / "ignored.txt").write_text("export WORD=wrong\n")
    (tmp_path / ".profile").write_text('export WORD="$WORD profile"\n')

    assert run(tmp_path, 'echo "$WORD" in "$PWD"') == f"a b profile in {tmp_path}\n"


def test_the_command_is_a_line_of_shell_with_its_variables(tmp_path: Path) -> None:
    assert run(tmp_path, "X=1 printenv X && echo port $PORT", PORT="5000") == "1\nport 5000\n"


def test_the_shell_becomes_the_program_so_that_signals_reach_it(tmp_path: Path) -> None:
    command = launch("python3 -c 'import os; print(os.getpid())'")
    variables = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.read() == f"{process.pid}\n"


def test_a_profile_that_changes_directory_or_fails_does_not_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / ".profile").write_text("cd /\nfalse\n")

    assert run(tmp_path, "pwd") == f"{tmp_path}\n"


def test_the_applications_variables_win_over_the_buildpacks() -> None:
    assert environment(config_vars={"A": "1", "B": "1"}, variables={"B": "2"}) == {"A": "1", "B": "2"}
