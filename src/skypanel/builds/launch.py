"""How a process type is started in a container: as Heroku's dynos do. Pure.

https://devcenter.heroku.com/articles/dyno-startup-behavior
"""

from __future__ import annotations

# $HOME is the release's directory: /app in a container, another one for the trusted process runtime. The command runs
# in a shell of its own, which bash replaces by the program, so that signals reach it. Profiles may not fail the start.
_SCRIPT = """\
cd "$HOME" || exit 1
shopt -s nullglob
for file in .profile.d/*.sh; do . "./$file"; done
shopt -u nullglob
if [ -f .profile ]; then . ./.profile; fi
cd "$HOME" || exit 1
exec bash -c "$1"
"""


def launch(command: str) -> tuple[str, ...]:
    """The argument list that sources `.profile.d/*.sh` and `.profile`, then becomes the command (a line of shell, with
    `$PORT` and the like in it). Environment variables come from outside: config vars below the application's own."""
    return ("bash", "-c", _SCRIPT, "launch", command)


def environment(*, config_vars: dict[str, str], variables: dict[str, str]) -> dict[str, str]:
    """Defaults from the buildpacks, the application's own variables above them."""
    return {**config_vars, **variables}
