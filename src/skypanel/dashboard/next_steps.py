"""What helps after a deployment failed: by its `reason_code`, one sentence and the place to go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """`tab` is the page of the application that helps ("" for none); every step ends with Redeploy."""

    sentence: str
    label: str = ""
    tab: str = ""


_REPOSITORY = "Fix it in the repository, push, then redeploy."
_AGAIN = "Redeploy; if it happens again, the platform’s admin finds more in `skypanel doctor`."
_SOURCE = ("Open settings", "settings#source")
_CACHE = ("Clear the build cache", "settings#build-cache")
_HEALTH = ("Open settings", "settings#health")
_PLAN = ("Choose another plan", "settings#plan")

STEPS: dict[str, Step] = {
    "build_disk": Step("Keep large files out of the build (`.slugignore`), or ask the platform’s admin for a higher limit."),
    "build_memory": Step("Build with less memory at once, or ask the platform’s admin for a higher limit."),
    "build_processes": Step("Build with fewer processes at once (`-j2`), or ask the platform’s admin for a higher limit."),
    "build_output": Step("Make the build print less, then redeploy."),
    "build_script_failed": Step(f"The lines below say why the application’s own build script failed. {_REPOSITORY}"),
    "build_timeout": Step("A build that waits for something never ends: look at its last lines. A cache that is too old can slow it down.", *_CACHE),
    "buildpack_failed": Step(f"The buildpack’s last lines say what it missed. {_REPOSITORY}", *_SOURCE),
    "crashed_at_start": Step("The process ended by itself: often a variable that is not set, or a mistake in the start command. Look at its last lines.", "Open environment", "environment"),
    "dependency_failed": Step(f"The lines below name the package that could not be installed. {_REPOSITORY} If it worked before, clear the build cache.", *_CACHE),
    "git_auth": Step("Check the address. For a private repository the platform’s admin sets a token or key for its host.", *_SOURCE),
    "git_branch_missing": Step("Choose a branch that the repository has, or push this one.", *_SOURCE),
    "git_cancelled": Step("It was cancelled while the code was fetched."),
    "git_empty": Step("Push a first commit to the branch, then redeploy."),
    "git_failed": Step("Git’s last words are above; redeploy when they are dealt with.", *_SOURCE),
    "git_too_large": Step("Keep large files out of the repository’s history, or use another one.", *_SOURCE),
    "git_unreachable": Step("The host did not answer. Check the address, or redeploy in a moment.", *_SOURCE),
    "git_refused": Step("This address is not allowed. HTTPS and SSH are, on hosts that are not private.", *_SOURCE),
    "no_buildpack": Step(f"Add a `requirements.txt`, `package.json`, `index.html` or `Procfile`, or name a buildpack. {_REPOSITORY}", *_SOURCE),
    "procfile_invalid": Step(f"A line of the Procfile is `name: command`. {_REPOSITORY}"),
    "release_failed": Step("The `release:` command ended with an error; its lines are below. Variables it needs are set in the environment.", "Open environment", "environment"),
    "release_memory": Step("A larger plan gives the `release:` command more memory.", *_PLAN),
    "release_timeout": Step("A `release:` command that waits never ends; move long work into a process of its own."),
    "not_placed": Step("The cluster has no room for it now. A smaller plan or fewer replicas may fit; otherwise the platform’s admin adds a machine.", *_PLAN),
    "registry_failed": Step(f"The registry that keeps images does not answer. {_AGAIN}"),
    "route_failed": Step(f"The router did not take the new replicas up. {_AGAIN}"),
    "sandbox_failed": Step(f"The platform could not start the build. {_AGAIN}"),
    "slugignore_invalid": Step(f"A line of `.slugignore` cannot be used. {_REPOSITORY}"),
    "slug_lost": Step("The files of this release are gone. Redeploy builds them again."),
    "slug_too_large": Step(f"Name what is not needed at run time in `.slugignore`. {_REPOSITORY}"),
    "start_failed": Step(f"A new replica could not be started. {_AGAIN}"),
    "toolchain_missing": Step("Ask for a version that this machine has, or ask the platform’s admin to install it.", *_SOURCE),
    "port_ignored": Step("The platform gives each process its port in the variable `PORT`; a port of its own is not asked. Read it at the start."),
    "port_loopback": Step("A server that listens on 127.0.0.1 hears only itself. Listen on all addresses."),
    "port_unbound": Step("The web process has to listen on `$PORT`, on all addresses, soon after it starts. One that is slow can be given a TCP check.", *_HEALTH),
    "health_timeout": Step("The process listens and does not answer in time. A path that answers fast, or a TCP check, can be set.", *_HEALTH),
    "health_status": Step("The process runs, and the address that is asked does not answer as it should. Another path, or a TCP check, can be set.", *_HEALTH),
    "interrupted": Step("The platform was interrupted in the middle. Redeploy."),
}  # fmt: skip
OTHERWISE = Step("Read the last lines, mend what they say, then redeploy.")


def step_for(reason_code: str | None) -> Step:
    return STEPS.get(reason_code or "", OTHERWISE)
