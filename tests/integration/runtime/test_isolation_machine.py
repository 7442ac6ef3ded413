from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from containers import eventually

from skypanel.drivers.runtime.oci import seccomp
from skypanel.drivers.runtime.port import Bind, ContainerStatus, Limits, RuntimeFailed
from skypanel.kit.secret import Secret

pytestmark = pytest.mark.root


def test_the_files_of_the_machine_are_not_there(platform) -> None:
    other = platform.data_dir / "layers" / "other"
    other.mkdir()
    (other / "secret.txt").write_text("of another tenant")
    paths = ["/root", "/home", str(platform.data_dir), str(other), "/etc/shadow", "/var/lib", "/boot", "/run/runc"]
    _, output = platform.shell("; ".join(f"ls {path} && echo SEEN {path}" for path in paths))
    assert "SEEN" not in output
    _, output = platform.shell("cat /proc/1/environ /proc/kcore /etc/shadow; ls /proc/1/root/root && echo SEEN")
    assert "SEEN" not in output


def test_only_the_processes_of_the_container_are_there(platform) -> None:
    _, output = platform.shell("ls -d /proc/[0-9]* | wc -l")
    assert int(output) <= 4


def test_nothing_but_its_own_places_can_be_written(platform) -> None:
    _, output = platform.shell(
        "for f in /x /usr/x /etc/x /bin/x /dev/x /proc/sys/kernel/hostname /var/tmp/x /run/x; do "
        "echo 1 > $f && echo WROTE $f; done; echo 1 > /app/x && echo 1 > /tmp/x && echo fine"
    )
    assert "WROTE" not in output
    assert output.endswith("fine\n")


def test_writes_to_app_are_thrown_away_and_never_reach_the_layer(platform) -> None:
    os.chown(platform.layer / "hello.txt", 31_235, 31_235)
    result, _ = platform.shell("echo changed > hello.txt && rm -f gone && touch new && test -O /app")
    assert result.code == 0
    assert (platform.layer / "hello.txt").read_text() == "from the layer"
    assert platform.shell("cat hello.txt; ls")[1] == "from the layerhello.txt\n"


def test_layers_are_merged_topmost_first(platform) -> None:
    top = platform.data_dir / "layers" / "top"
    top.mkdir()
    (top / "hello.txt").write_text("from the top")
    (top / "more.txt").write_text("more")
    _, output = platform.shell("cat hello.txt; ls", layers=[top, platform.layer])
    assert output == "from the tophello.txt\nmore.txt\n"


def test_the_disk_is_limited(platform) -> None:
    _, output = platform.shell(
        "dd if=/dev/zero of=/app/big bs=1M count=64; df -m /app | tail -1; rm big; touch ok && echo ok"
    )
    assert "No space left on device" in output
    assert output.endswith("ok\n")


def test_too_much_memory_is_an_oom_kill_of_that_container_only(platform) -> None:
    neighbour = platform.serve()
    eat = "x = bytearray(400 << 20); print(len(x))"
    result, output = platform.run(["/usr/bin/python3", "-c", eat])
    assert (result.code, result.oom_killed, output) == (137, True, "")
    assert platform.run(["/usr/bin/python3", "-c", eat.replace("400", "20")])[0].code == 0
    container = platform.runtime.start(platform.spec(["/usr/bin/python3", "-c", eat]))
    ended = eventually(
        lambda: (
            (found := platform.runtime.get(container.id)).status is ContainerStatus.EXITED and found.exit_code and found
        )
    )
    assert ended.oom_killed
    assert platform.runtime.get(neighbour.id).status is ContainerStatus.RUNNING


def test_tmp_counts_against_memory(platform) -> None:
    result, output = platform.shell("dd if=/dev/zero of=/tmp/big bs=1M count=512 && echo WROTE")
    assert "WROTE" not in output
    assert result.code != 0


def test_a_fork_bomb_stays_inside(platform) -> None:
    script = "import os, time\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.05)"
    container = platform.runtime.start(platform.spec(["/usr/bin/python3", "-c", script]))
    cgroup = f"skypanel-{platform.instance}/{container.id}"
    eventually(lambda: len(platform.runtime._cgroups.pids(cgroup)) >= 60)
    assert len(platform.runtime._cgroups.pids(cgroup)) <= 64
    assert platform.shell("echo still working")[1] == "still working\n"
    platform.runtime.remove(container.id)
    assert platform.runtime._cgroups.pids(cgroup) == set()


def test_the_cpu_is_limited(platform) -> None:
    limits = Limits(cpu_millis=200, memory_mb=64, disk_mb=16)
    container = platform.runtime.start(platform.spec(["/bin/bash", "-c", "while :; do :; done"], limits=limits))
    hierarchy = platform.runtime._cgroups._with("cpu")
    stat = hierarchy.mount / f"skypanel-{platform.instance}" / container.id / "cpu.stat"
    eventually(lambda: int(dict(line.split() for line in stat.read_text().splitlines())["nr_throttled"]) > 0)
    usage = platform.runtime.usage(container.id)
    assert usage.cpu_seconds > 0
    assert usage.memory_bytes > 0


def test_there_are_no_privileges_and_no_way_to_new_ones(platform) -> None:
    _, output = platform.shell("cat /proc/self/status; id -u")
    facts = dict(line.split(":\t", 1) for line in output.splitlines() if ":\t" in line)
    assert all(int(facts[f"Cap{kind}"], 16) == 0 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
    assert facts["NoNewPrivs"] == "1"
    assert output.splitlines()[-1] == "31235"


def test_the_system_call_filter_forbids_new_namespaces_and_mounts(make_platform) -> None:
    attempts = "unshare -U true && echo USERNS; unshare -m true && echo MOUNTNS; mount -t tmpfs x /tmp && echo MOUNT"
    strict = make_platform()
    assert strict.shell(attempts)[0].code != 0
    for word in ("USERNS", "MOUNTNS", "MOUNT"):
        assert word not in strict.shell(attempts)[1].split()
    lax = make_platform(use_seccomp=False)
    assert "USERNS" in lax.shell(attempts)[1].split(), "the filter is what forbids it"


def test_without_the_usual_profile_our_own_forbids_the_same(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    own = seccomp.profile(Path("/nowhere/seccomp.json"))
    monkeypatch.setattr(platform.runtime, "_starter", replace(platform.runtime._starter, seccomp=own))
    _, output = platform.shell("unshare -U true && echo USERNS; unshare -n true && echo NETNS; echo $(echo child)")
    assert output.splitlines()[-1] == "child"
    assert "NS" not in [line[-2:] for line in output.splitlines()]


def test_threads_and_children_work_under_the_filter(platform) -> None:
    script = (
        "import threading, subprocess; t = threading.Thread(target=print, args=('thread',)); "
        "t.start(); t.join(); subprocess.run(['echo', 'child'])"
    )
    assert platform.run(["/usr/bin/python3", "-u", "-c", script])[1] == "thread\nchild\n"


def test_a_bind_is_read_only_unless_it_says_otherwise(platform) -> None:
    shared, own = platform.data_dir / "shared", platform.data_dir / "own"
    for directory in (shared, own):
        directory.mkdir(mode=0o777)
        directory.chmod(0o777)
    binds = [Bind(shared, "/shared"), Bind(own, "/own", writable=True)]
    _, output = platform.shell("touch /shared/x && echo WROTE; touch /own/x && echo fine", binds=binds)
    assert "WROTE" not in output
    assert "fine" in output
    assert (own / "x").exists()


def test_a_directory_that_a_tenant_replaced_by_a_link_is_refused(platform) -> None:
    link = platform.data_dir / "cache"
    link.symlink_to("/etc")
    with pytest.raises(RuntimeFailed, match="is a link"):
        platform.shell("ls /cache", binds=[Bind(link, "/cache")])
    with pytest.raises(RuntimeFailed, match="is a link"):
        platform.shell("ls /cache", binds=[Bind(link / "ssl", "/cache")])


def test_toolchains_below_closed_directories_can_be_used(platform, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    tool = closed / "tool"
    (tool / "bin").mkdir(parents=True)
    (tool / "bin" / "run").write_text("#!/bin/sh\necho tool\n")
    (tool / "bin" / "run").chmod(0o755)
    (closed / "private").write_text("secret")
    closed.chmod(0o700)
    _, output = platform.shell(f"{tool}/bin/run; cat {closed}/private && echo SEEN", toolchains=[tool])
    assert output.startswith("tool\n")
    assert "SEEN" not in output


@pytest.mark.parametrize("prefix", ["/", "/root", "/home", "{data}", "{data}/keys", "{data}/../data", "/etc/ssl"])
def test_no_directory_of_the_machine_is_shown_as_a_toolchain(platform, prefix: str) -> None:
    with pytest.raises(RuntimeFailed, match="no directory of programs"):
        platform.shell("true", toolchains=[Path(prefix.format(data=platform.data_dir))])


def test_no_container_runs_as_a_user_of_the_machine(platform) -> None:
    with pytest.raises(RuntimeFailed, match="no container runs as the user 0"):
        platform.shell("true", uid=0)


def test_no_secret_is_left_in_the_files_of_the_platform(platform) -> None:
    container = platform.serve(env={"KEY": Secret("canary-81726354")})
    found = subprocess.run(
        ["grep", "-r", "-l", "canary-81726354", str(platform.data_dir), f"/run/skypanel-{platform.instance}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout == ""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"canary-81726354" not in process.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    assert platform.runtime.get(container.id).status is ContainerStatus.RUNNING
    assert (platform.data_dir / "containers").stat().st_mode & 0o077 == 0
