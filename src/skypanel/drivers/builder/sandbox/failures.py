"""What a failing installer printed, as one sentence that says what to do. Pure."""
# ruff: noqa: E501 - a table of patterns and the sentences they lead to; broken up, neither can be read

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Configured)(?:: |$)")
Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _rule(pattern: str, sentence: Callable[[re.Match[str]], str]) -> Rule:
    return re.compile(pattern, re.I | re.S), sentence


RULES: Sequence[Rule] = (
    _rule(
        r"Because (?:there (?:are|is) no versions? of|no versions? of) ([\w.\-\[\]]+?)\s*([=<>!~][^\s]*)?\s.{0,200}?unsatisfiable",
        lambda m: f"There is no version of {m[1]} that fits {m[2] or 'what is asked'}: check the requirements.",
    ),
    _rule(
        r"Because ([\w.\-\[\]]+) was not found in the (?:package registry|provided package locations)",
        lambda m: f"No package named {m[1]}: check the requirements.",
    ),
    _rule(r"No solution found.{0,40}?Because (.{10,400}?)unsatisfiable",
          lambda m: f"The requirements contradict each other ({_flat(m[1])[:200]}…): loosen one of them."),
    _rule(r"The lockfile at `?uv\.lock`? needs to be updated", lambda _: "uv.lock does not match pyproject.toml: run `uv lock` and commit it."),
    _rule(r"pyproject\.toml changed significantly since poetry\.lock",
          lambda _: "poetry.lock does not match pyproject.toml: run `poetry lock` and commit it."),
    _rule(r"Failed to (?:build|prepare) (?:`|package )?([\w.\-]+)(?:==([\w.]+))?",
          lambda m: f"The package {m[1]}{' ' + m[2] if m[2] else ''} could not be built from source: choose a version with a wheel "
                    "for this Python, or see the build log for what it needs."),
    _rule(r"Couldn't parse requirement in `?([^`\s]+)`?(?: at position \d+)?\s*(?:Caused by:)?\s*([^\n]{0,120})",
          lambda m: f"{m[1]} has a line that is no requirement ({_flat(m[2])}): correct it."),
    _rule(r"npm ci.{0,80}?can only install packages when your package\.json and (?:package-lock\.json|npm-shrinkwrap\.json).{0,60}?in sync",
          lambda _: "package-lock.json does not match package.json: run `npm install` and commit the lock file."),
    _rule(r"npm (?:error|ERR!) 404\s+(?:The requested resource )?'(@?[\w./\-]+)@[^\s']*' (?:is not in|could not be found)",
          lambda m: f"No package named {m[1]}: check package.json."),
    _rule(r"npm (?:error|ERR!) notarget No matching version found for (@?[\w./\-]+@[^\s]+?)\.?\s",
          lambda m: f"There is no version {m[1]}: check package.json."),
    _rule(r"npm (?:error|ERR!) code ERESOLVE", lambda _: "npm cannot resolve the dependency tree (ERESOLVE): align the peer dependencies named in the build log."),
    _rule(r"npm (?:error|ERR!) code EBADENGINE", lambda _: "A package needs another Node.js version: set engines.node in package.json."),
    _rule(r"npm (?:error|ERR!) code (EJSONPARSE)", lambda _: "package.json is not valid JSON: correct it."),
    _rule(r"Your lockfile needs to be updated|The lockfile would have been modified by this install",
          lambda _: "yarn.lock does not match package.json: run `yarn install` and commit the lock file."),
    _rule(r"ERR_PNPM_OUTDATED_LOCKFILE", lambda _: "pnpm-lock.yaml does not match package.json: run `pnpm install` and commit the lock file."),
    _rule(r"Couldn't find package \"([^\"]+)\"", lambda m: f"No package named {m[1]}: check package.json."),
    _rule(r"ERR_PNPM_FETCH_404[^\n]*?/(@?[\w.\-%]+): Not Found", lambda m: f"No package named {m[1]}: check package.json."),
    _rule(r"(ENOSPC|No space left on device)", lambda _: "The build ran out of disk: make it write less."),
    _rule(r"(heap out of memory)", lambda _: "Node.js ran out of memory: build less at once, or set NODE_OPTIONS=--max-old-space-size."),
    _rule(r"Package '?([\w.+\-]+?)'?,? (?:required by '[^']*',? )?(?:was )?not found",
          lambda m: f"A package is compiled here and needs the system library {m[1]}, which is not on this machine: choose a version "
                    "with a prebuilt binary, or ask the operator to install it."),
    _rule(r"fatal error: ([\w/.+\-]+\.h): No such file",
          lambda m: f"A package is compiled here and needs the header {m[1]}, which is not on this machine: choose a version with a "
                    "prebuilt binary, or ask the operator to install its library."),
    _rule(r"(?:install )?request to https?://([\w.\-]+)\S* failed",
          lambda m: f"A package downloads a file from {m[1]} while it is installed, and that host could not be reached: try again."),
    _rule(r"(ETIMEDOUT|EAI_AGAIN|ENOTFOUND|Temporary failure in name resolution|dns error|error sending request)",
          lambda _: "The package registry could not be reached: try again, or ask the operator to check the network."),
    _rule(r"\n\s*(SyntaxError: [^\n]{3,160})", lambda m: f"{_flat(m[1])}: correct the file named in the build log."),
    _rule(r"\n\s*(ModuleNotFoundError: [^\n]{3,160})", lambda m: f"{_flat(m[1])}: add it to the requirements."),
)  # fmt: skip


def _flat(text: str) -> str:
    return " ".join(text.replace("╰─▶", " ").replace("╭─▶", " ").split())


def summarize(lines: Sequence[str]) -> str | None:
    """The first rule that fits the output's end. None: nothing known."""
    text = _ANSI.sub("", "\n".join(lines))
    unwrapped = re.sub(r"\n\s{3,}", " ", text)  # uv wraps its explanations
    for pattern, sentence in RULES:
        match = pattern.search(unwrapped)
        if match is not None:
            return sentence(match)
    return None


def last_line(lines: Sequence[str]) -> str:
    """What a failing program said last; of the block of `!` lines that buildpacks end with, its first."""
    plain = [_ANSI.sub("", line).strip() for line in lines]
    while plain and not plain[-1]:
        plain.pop()
    block: list[str] = []
    for line in reversed(plain):
        if not line.startswith("!"):
            break
        block.append(line.lstrip("! ").removeprefix("Error: "))
    said = [line for line in reversed(block) if line]
    if said:
        return said[0][:300]
    return next((line for line in reversed(plain) if line and not line.startswith("----->")), "no output")[:300]


def raised(lines: Sequence[str]) -> str | None:
    """The last exception that a Python traceback in the output ends with."""
    plain = (_ANSI.sub("", line).rstrip() for line in reversed(lines))
    return next((line[:200] for line in plain if _EXCEPTION.match(line)), None)


def looks_like_a_broken_cache(lines: Sequence[str]) -> bool:
    """Signs that an installer stumbled over its own cache. Used to try once more with a clean one."""
    text = "\n".join(lines).lower()
    signs = ("/build/cache", "eintegrity", "sha512 integrity", "sha1 integrity", "integrity checksum failed", "hash mismatch",
             "corrupt", "failed to read from the distribution cache", "bad zip", "badzipfile", "zlib", "cacache", "tar_bad_archive",
             "failed to deserialize", "invalid tar", "enotdir", "failed to open", "incorrect header check")  # fmt: skip
    return any(sign in text for sign in signs)
