"""The bash that runs in a build's container: around built-in plans, and the classic buildpack API around buildpacks.

Contract of the classic API: https://devcenter.heroku.com/articles/buildpack-api
"""

from __future__ import annotations

import shlex

# Where things are in a container. The scripts know them by variables alone: where there are no containers (the trusted
# process runtime), the variables name the real directories.
CACHE, ENV, OUT, TMP, TOOLS, BUILDPACKS, STEPS, VENV = (
    "/build/cache", "/build/env", "/build/out", "/build/tmp", "/build/bin", "/build/buildpacks", "/build/steps",
    "/app/.skypanel/venv",
)  # fmt: skip
DIRECTORIES = {
    "HOME": "/app", "CACHE_DIR": CACHE, "ENV_DIR": ENV, "OUT_DIR": OUT, "TMPDIR": TMP, "TOOLS_DIR": TOOLS,
    "BUILDPACKS_DIR": BUILDPACKS, "SKYPANEL_VENV": VENV, "XDG_CACHE_HOME": f"{CACHE}/xdg",
}  # fmt: skip

HEADER = """\
set -eo pipefail
umask 022
export PATH="$TOOLS_DIR:$PATH"
cd "$HOME"
"""
# Names that would break the build's own shell are not taken over, as in Heroku's `export_env_dir`.
LOAD_ENV = """\
load_env() {
  local file name value
  for file in "$ENV_DIR"/*; do
    [ -f "$file" ] || continue
    name=${file##*/}
    case $name in
      PATH|HOME|PWD|SHELL|GIT_DIR|CPATH|CPPATH|LD_PRELOAD|LIBRARY_PATH|LD_LIBRARY_PATH|BASH_ENV|ENV|IFS|\\
      TMPDIR|CACHE_DIR|ENV_DIR|OUT_DIR|TOOLS_DIR|BUILDPACKS_DIR|SKYPANEL_VENV|UID|EUID|PPID|BASHOPTS|SHELLOPTS)
        continue ;;
    esac
    IFS= read -r -d '' value < "$file" || true
    export "$name=$value"
  done
}
"""


def builtin(script: str) -> str:
    """One built-in buildpack alone: the application's variables are in the environment."""
    return f"{HEADER}{LOAD_ENV}load_env\n{script}"


def profile(index: int, content: str) -> str:
    if not content:
        return ""
    return (
        'mkdir -p "$HOME/.profile.d"\n'
        f"cat > $HOME/.profile.d/{index:02d}-skypanel.sh <<'SKYPANEL_PROFILE'\n{content}\nSKYPANEL_PROFILE\n"
    )


def builtin_among(index: int, script: str, content: str) -> str:
    """A built-in buildpack between others: in a shell of its own, handing its PATH on as an `export` file would."""
    return (
        "(\n"
        f"{LOAD_ENV}load_env\n{script}\n{profile(index, content)}"
        f'echo "export PATH=$PATH" > $OUT_DIR/export-{index}\n'
        ")\n"
        f". $OUT_DIR/export-{index}\n"
    )


def classic(index: int, name: str, cache: str) -> str:
    """One third-party buildpack: detect, compile, release; its `export` file is sourced for those after it."""
    directory = f"$BUILDPACKS_DIR/{index}"
    shown = shlex.quote(name)
    return f"""\
mkdir -p $CACHE_DIR/{cache}
for program in detect compile release; do [ ! -f {directory}/bin/$program ] || chmod +x {directory}/bin/$program; done
if [ ! -f {directory}/bin/compile ]; then echo "classic no-compile {index}" > $OUT_DIR/failed; exit 1; fi
if [ -f {directory}/bin/detect ]; then
  detected=$(cd {directory} && bin/detect $HOME) || {{ echo "classic detect {index}" > $OUT_DIR/failed; exit 1; }}
  echo "-----> $detected app detected"
  printf '%s' "$detected" > $OUT_DIR/name-{index}
fi
echo "-----> Buildpack "{shown}
(cd {directory} && exec bin/compile $HOME $CACHE_DIR/{cache} $ENV_DIR) || {{
  code=$?; echo "classic compile {index} $code" > $OUT_DIR/failed; exit $code
}}
if [ -f {directory}/bin/release ]; then
  (cd {directory} && bin/release $HOME) > $OUT_DIR/release-{index}.yml || {{
    echo "classic release {index}" > $OUT_DIR/failed; exit 1
  }}
fi
{take_over(f"{directory}/export")}"""


def take_over(path: str) -> str:
    """What a buildpack before this one exports."""
    return f"if [ -f {path} ]; then set +e; . {path}; set -e; cd $HOME; fi\n"
