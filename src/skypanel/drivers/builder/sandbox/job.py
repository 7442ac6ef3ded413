"""One build from its commit to its slug."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from skypanel.drivers.builder.port import BuildCancelled, BuildFailed, BuildRequest, BuiltSlug
from skypanel.drivers.builder.sandbox import caches, failures, nodejs, python, scripts, slugignore, static
from skypanel.drivers.builder.sandbox.caches import CacheSettings
from skypanel.drivers.builder.sandbox.detect import Decision, Unit, decide
from skypanel.drivers.builder.sandbox.interpreters import Toolchains
from skypanel.drivers.builder.sandbox.layout import Layout, make_owned, read_beneath, remove_tree
from skypanel.drivers.builder.sandbox.pack import pack_layer, write_archive
from skypanel.drivers.builder.sandbox.plans import Plan
from skypanel.drivers.builder.sandbox.release import Release, parse_release, read_procfile
from skypanel.drivers.builder.sandbox.run import BuildLog, Containers, Run, certificates, execute
from skypanel.drivers.builder.sandbox.toolchains import npm_settings
from skypanel.drivers.builder.sandbox.tree import SourceTree, entries_of
from skypanel.drivers.builder.sandbox.workspace import Workspace
from skypanel.drivers.runtime.port import Bind
from skypanel.drivers.source.port import Source, TreeEntry
from skypanel.kit.secret import Secret

STACK = "host"


class Job:
    def __init__(
        self,
        *,
        request: BuildRequest,
        layout: Layout,
        source: Source,
        containers: Containers,
        toolchains: Toolchains,
        passthrough: Mapping[str, str],
        cache: CacheSettings,
        stack: str,
        log: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.request, self.layout, self.source, self.containers = request, layout, source, containers
        self.toolchains, self.passthrough, self.cache, self.stack = toolchains, passthrough, cache, stack
        self.cancelled = cancelled
        self.values = {name: value.reveal() for name, value in request.env.items()}
        self.log = BuildLog(log, list(self.values.values()))
        self.work = Workspace(layout.build(request.id), request.uid)
        self.deadline = time.monotonic() + request.limits.time_s
        self.tree = SourceTree([], lambda _: b"")
        self.prepared = False

    def run(self) -> BuiltSlug:
        self.work.create()
        self._checkout()
        decision = decide(self.tree, buildpacks=self.request.buildpacks)
        for reason in decision.reasons:
            self.log.line(f"-----> {reason}")
        self._check_cancelled()
        plans = self._plans_at_first(decision)
        first = plans[0] if len(plans) == 1 else None
        layers: list[str] = []
        if first is not None and first.layer_key is not None:
            layers = [self._dependencies(first)]
            self._build_on_source(first, layers[0])
            releases = [Release(first.processes, first.config_vars)]
            name = first.name
        else:
            releases, name = self._together(decision, plans)
        process_types, config_vars = self._released(releases, plans)
        self._check_cancelled()
        return self._slug(layers, process_types, config_vars, name, [p for p in plans if p is not None])

    def _checkout(self) -> None:
        request = self.request
        self.source.checkout(
            request.mirror,
            request.commit.sha,
            to=self.work.app,
            uid=request.uid,
            url=request.git_url,
            log=self.log.line,
        )
        entries = self.source.tree(request.mirror, request.commit.sha)
        self.tree = SourceTree(entries, self._read)
        ignore = self.tree.text(".slugignore")
        if ignore is not None:
            targets = slugignore.ignored(ignore, self.tree.paths)
            slugignore.apply(self.work.app, targets)
            kept = [e for e in entries if not any(e.path == t or e.path.startswith(f"{t}/") for t in targets)]
            self.tree = SourceTree(kept, self._read)
            self.log.line(f"-----> {len(entries) - len(kept)} files left out by .slugignore")

    def _read(self, entry: TreeEntry) -> bytes:
        """From the checkout, while nothing but we has written there."""
        return read_beneath(self.work.app, entry.path, limit=20_000_000) or b""

    def _plan(self, unit: Unit) -> Plan:
        if unit.builtin == "python":
            plan = python.plan(self.tree, env=self.values, pythons=self.toolchains.pythons())
        elif unit.builtin == "nodejs":
            plan = nodejs.plan(self.tree, env=self.values, toolchains=self.toolchains)
        elif unit.builtin == "static":
            plan = static.plan(self.tree)
        else:
            plan = static.procfile_plan()
        self.log.line(f"-----> {plan.name}")
        for note in plan.notes:
            self.log.line(f"       {note}")
        return plan

    def _plans_at_first(self, decision: Decision) -> list[Plan | None]:
        """Of the built-in buildpacks that no other comes before: what others leave is seen only when they have run."""
        units = list(itertools.takewhile(lambda unit: unit.url is None, decision.units))
        return [self._plan(unit) for unit in units] + [None] * (len(decision.units) - len(units))

    def _dependencies(self, plan: Plan) -> str:
        assert plan.layer_key is not None
        layer = f"{self.request.app_id}/{plan.layer_key}"
        path = self.layout.layer(layer)
        if path.is_dir():
            self.log.line("-----> Dependencies unchanged: using those of an earlier build")
            return layer
        make_owned(self.work.deps, self.request.uid)
        script = scripts.builtin(plan.install + scripts.profile(1, plan.profile))
        for source in plan.inputs:
            content = self.tree.text(source)
            if content is not None:
                self.work.write(self.work.deps, source, content)
        self._run(script, app=self.work.deps, plans=[plan])
        kept = {part.split("/")[0] for part in plan.layer_paths} | {".profile.d"}
        for path_made in list(self.work.deps.iterdir()):  # what was copied in belongs to the source's layer
            if path_made.name not in kept:
                remove_tree(path_made)
        path.parent.mkdir(parents=True, exist_ok=True)
        pack_layer(self.work.deps, self.layout.fragment(layer), limit_bytes=self._packed_limit)
        self.work.deps.replace(path)
        return layer

    def _build_on_source(self, plan: Plan, layer: str) -> None:
        for path, content in plan.files.items():
            self.work.write(self.work.app, path, content)
        if not plan.build:
            return
        binds = []
        for name in plan.layer_paths:
            self.work.write(self.work.app, f"{name}/.keep", "")  # the mount point, made without following links
            binds.append(Bind(self.layout.layer(layer) / name, f"/app/{name}"))
        entering = f"export PATH={python.VENV}/bin:$PATH VIRTUAL_ENV={python.VENV}\n"
        self._run(scripts.builtin(entering + plan.build), app=self.work.app, plans=[plan], also=binds)

    def _together(self, decision: Decision, plans: list[Plan | None]) -> tuple[list[Release], str]:
        """All buildpacks on the source itself, one after the other: in one container, and a further one for each
        built-in buildpack that is planned on what others left. Fills `plans`."""
        parts: list[str] = []
        again = ""  # what a further container takes over of those before it
        self._prepare()
        single = len(plans) == 1
        for index, unit in enumerate(decision.units):
            if unit.url is not None:
                parts.append(self._fetch_buildpack(index, unit))
                again += scripts.take_over(f"$BUILDPACKS_DIR/{index}/export")
                continue
            plan = plans[index]
            if plan is None:
                self._run_parts(parts, plans)
                parts = [again]
                self.tree = SourceTree(entries_of(self.work.app), self._read)
                plan = plans[index] = self._plan(unit)
            for path, content in plan.files.items():
                self.work.write(self.work.app, path, content)
            body = plan.install + plan.build
            if single and body:
                parts.append(f"{scripts.LOAD_ENV}load_env\n{body}\n{scripts.profile(1, plan.profile)}")
            elif body:
                parts.append(scripts.builtin_among(index, body, plan.profile))
                again += scripts.take_over(f"$OUT_DIR/export-{index}")
        self._run_parts(parts, plans)
        releases, names = [], []
        for index, (unit, plan) in enumerate(zip(decision.units, plans, strict=True)):
            if plan is not None:
                releases.append(Release(plan.processes, plan.config_vars))
                names.append(plan.name)
                continue
            shown = buildpack_name(unit)
            printed = read_beneath(self.work.root / "out", f"release-{index}.yml") or b""
            releases.append(parse_release(printed.decode("utf-8", errors="replace"), buildpack=shown))
            names.append(shown)
        return releases, " + ".join(names)

    def _run_parts(self, parts: Sequence[str], plans: Sequence[Plan | None]) -> None:
        if any(parts):
            self._run(scripts.HEADER + "".join(parts), app=self.work.app, plans=[p for p in plans if p is not None])

    def _fetch_buildpack(self, index: int, unit: Unit) -> str:
        assert unit.url is not None
        self.source.check_url(unit.url)
        digest = hashlib.sha256(f"{unit.url}#{unit.branch}".encode()).hexdigest()[:16]
        mirror = f"{self.request.mirror}--bp{digest}"
        self.log.line(f"-----> Fetching the buildpack {buildpack_name(unit)}")
        commit = self.source.fetch(
            unit.url,
            branch=unit.branch,
            mirror=mirror,
            uid=self.request.uid,
            log=self.log.line,
            cancelled=self.cancelled,
        )
        directory = make_owned(self.work.root / "buildpacks" / str(index), self.request.uid)
        self.source.checkout(mirror, commit.sha, to=directory, uid=self.request.uid, url=unit.url, log=self.log.line)
        return scripts.classic(index, buildpack_name(unit), f"bp-{digest}")

    def _prepare(self) -> None:
        if not self.prepared:
            self.work.prepare_run(self.request.env)
            self.prepared = True

    def _run(self, script: str, *, app: Path, plans: Sequence[Plan], also: Sequence[Bind] = ()) -> None:
        """Once more with an empty cache when it looks as if the cache was at fault."""
        self._prepare()
        request = self.request
        cache = caches.open_cache(
            self.layout, request.app_id, uid=request.uid, work=self.work.root, settings=self.cache, wanted=request.cache
        )
        passed, certificate_files = certificates(
            {**self.passthrough, **npm_settings(self.passthrough, home=Path.home())}
        )
        run = Run(
            script=script,
            app=app,
            work=self.work.root,
            cache=cache,
            uv=self.toolchains.uv(),
            env={**passed, **self._environment(plans)},
            toolchains=tuple(dict.fromkeys(path for plan in plans for path in plan.toolchains)),
            also=(*also, *certificate_files),
        )
        had_cache = any(cache.iterdir())
        code = self._execute(run)
        if code != 0 and had_cache and failures.looks_like_a_broken_cache(list(self.log.last)):
            self.log.line("-----> The build cache seems to be broken: trying once more without it")
            remove_tree(cache)
            make_owned(cache, request.uid)
            code = self._execute(run)
        if code != 0:
            raise self._failure(code)
        if caches.trim(self.layout, request.app_id, self.cache):
            self.log.line("-----> The build cache had outgrown its limit and was cleared")

    def _execute(self, run: Run) -> int:
        self._check_cancelled()
        left = self.deadline - time.monotonic()
        return execute(
            self.containers, run, self.request, log=self.log, cancelled=self.cancelled, time_left_s=left
        ).code

    def _environment(self, plans: Sequence[Plan]) -> dict[str, str | Secret]:
        env: dict[str, str | Secret] = {
            **scripts.DIRECTORIES,
            "STACK": self.stack,
            "REQUEST_ID": self.request.id,
            "SOURCE_VERSION": self.request.commit.sha,
            "LANG": "C.UTF-8",
            "CI": "true",
        }
        for plan in plans:
            env.update(plan.env)
        return env

    def _failure(self, code: int) -> BuildFailed:
        lines = list(self.log.last)
        failed = (read_beneath(self.work.root / "out", "failed", limit=200) or b"").decode(errors="replace").split()
        if failed[:2] == ["classic", "detect"]:
            return BuildFailed(
                "no_buildpack",
                "The chosen buildpack does not fit the application (bin/detect said no): choose another.",
            )
        if failed[:2] == ["classic", "no-compile"]:
            return BuildFailed(
                "buildpack_failed", "The chosen repository has no bin/compile: it is no buildpack, choose another."
            )
        if failed[:1] == ["classic"]:
            return BuildFailed(
                "buildpack_failed", f"The buildpack's bin/{failed[1]} exited with {code}: {failures.last_line(lines)}"
            )
        if failed[:1] == ["script"] and len(failed) > 1:
            why = failures.summarize(lines[-60:]) or failures.last_line(lines)
            return BuildFailed(
                "build_script_failed", f"The script {failed[1]!r} of package.json exited with {code}: {why}"
            )
        if failed[:1] == ["collectstatic"]:
            cause = failures.raised(lines)
            return BuildFailed(
                "build_script_failed",
                f"collectstatic failed{f' ({cause})' if cause else ''}: correct the settings named in the log, set the "
                "variables they need, or set DISABLE_COLLECTSTATIC=1.",
            )
        known = failures.summarize(lines)
        return BuildFailed("dependency_failed", known or f"The build exited with {code}: {failures.last_line(lines)}")

    def _released(
        self, releases: Sequence[Release], plans: Sequence[Plan | None]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """As on Heroku: the last buildpack's defaults, the Procfile above them; config vars of all, later ones win."""
        process_types = dict(releases[-1].process_types)
        config_vars: dict[str, str] = {}
        for release in releases:
            config_vars.update(release.config_vars)
            for note in release.notes:
                self.log.line(f"       {note}")
        procfile = read_procfile(self.work.app)
        if procfile is not None:
            self.log.line(f"-----> Procfile declares {', '.join(procfile)}")
            process_types = {**process_types, **procfile} if procfile else process_types
        elif process_types:
            self.log.line(f"-----> No Procfile: default process types {', '.join(process_types)}")
        if not process_types:
            hint = next(
                (plan.hint for plan in plans if plan is not None and plan.hint), "Add a Procfile with a `web:` line."
            )
            raise BuildFailed("procfile_invalid", f"No process type is known. {hint}")
        return process_types, config_vars

    @property
    def _packed_limit(self) -> int:
        """Twice what a build may hold on disk: hard links are packed as files."""
        return 2 * self.request.limits.disk_mb << 20

    def _slug(
        self,
        below: list[str],
        process_types: Mapping[str, str],
        config_vars: Mapping[str, str],
        name: str,
        plans: Sequence[Plan],
    ) -> BuiltSlug:
        request = self.request
        source = f"{request.app_id}/src-{request.id}"
        path = self.layout.layer(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_tree(path)
        fragment = self.work.root / "source.tar.zst"
        pack_layer(self.work.app, fragment, limit_bytes=self._packed_limit)
        self.layout.slugs(request.app_id).mkdir(parents=True, exist_ok=True)
        draft = self.work.root / "slug.tar.zst"
        layers = [source, *below]
        fragments = [*((layer, self._fragment(layer)) for layer in reversed(below)), (source, fragment)]
        digest, size = write_archive(fragments, draft)
        if size > request.limits.slug_mb * 1_000_000:
            raise BuildFailed(
                "slug_too_large",
                f"The slug has {size // 1_000_000} MB; {request.limits.slug_mb} MB are allowed: leave out more with "
                ".slugignore.",
            )
        self.work.app.replace(path)
        draft.replace(self.layout.slug(request.app_id, digest))
        self.log.line(f"-----> Slug of {size / 1_000_000:.1f} MB ({digest[:19]})")
        toolchains = tuple(dict.fromkeys(str(path) for plan in plans for path in plan.toolchains))
        return BuiltSlug(
            digest=digest,
            size_bytes=size,
            layers=tuple(layers),
            toolchains=toolchains,
            process_types=process_types,
            config_vars=config_vars,
            buildpack=name,
            stack=STACK,
        )

    def _fragment(self, layer: str) -> Path:
        path = self.layout.fragment(layer)
        if not path.exists():
            pack_layer(self.layout.layer(layer), path)
        return path

    def _check_cancelled(self) -> None:
        if self.cancelled():
            raise BuildCancelled


def buildpack_name(unit: Unit) -> str:
    """As people read it; a URL without what it may carry as credentials."""
    assert unit.url is not None
    without = unit.url.split("//", 1)[-1].rsplit("@", 1)[-1].removesuffix(".git")
    return without.removeprefix("github.com/") + (f"#{unit.branch}" if unit.branch else "")
