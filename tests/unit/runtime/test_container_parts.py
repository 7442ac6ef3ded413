"""The parts of the `oci` runtime that decide without touching the machine."""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from skypanel.drivers.runtime.following import Follower, PlainLines
from skypanel.drivers.runtime.oci import seccomp
from skypanel.drivers.runtime.oci.cgroups import Cgroups, hierarchies
from skypanel.drivers.runtime.oci.config import Surroundings, config
from skypanel.drivers.runtime.oci.logfile import LineJoiner, last_lines
from skypanel.drivers.runtime.oci.resolvers import PUBLIC, parse, upstream_resolvers
from skypanel.drivers.runtime.oci.subnet import FIRST, LAST, Lease, Leases, choose_network
from skypanel.drivers.runtime.port import ContainerKind, ContainerSpec, Limits, RuntimeFailed
from skypanel.drivers.runtime.process import translated
from skypanel.drivers.runtime.sizes import DirectoriesLimit
from skypanel.drivers.usage import size_of
from skypanel.kit.secret import Secret

POOL = IPv4Network("10.210.0.0/15")


def test_the_first_free_part_of_the_pool_is_taken() -> None:
    assert choose_network(POOL, []) == IPv4Network("10.210.0.0/20")
    taken = [IPv4Network("10.210.0.0/20"), IPv4Network("10.210.17.0/24"), IPv4Network("0.0.0.0/0")]
    assert choose_network(POOL, taken) == IPv4Network("10.210.32.0/20")


def test_a_full_pool_and_a_small_one_say_what_to_do() -> None:
    with pytest.raises(RuntimeFailed, match="SKYPANEL_NETWORK_POOL"):
        choose_network(POOL, [IPv4Network("10.0.0.0/8")])
    with pytest.raises(RuntimeFailed, match="smaller"):
        choose_network(IPv4Network("10.210.0.0/24"), [])


def test_addresses_are_given_once_and_come_back(tmp_path: Path) -> None:
    leases = Leases(tmp_path, instance="0123abcd", network=IPv4Network("10.210.0.0/28"))
    taken = [leases.take(f"c{number}") for number in range(13)]
    assert len({lease.address for lease in taken}) == 13
    with pytest.raises(RuntimeFailed, match="in use"):
        leases.take("one-too-many")
    leases.give_back(taken[3].index)
    assert leases.take("another").address == taken[3].address


def test_names_and_hardware_addresses_follow_from_the_address_and_fit() -> None:
    leases = [Lease("0123abcd", IPv4Network("10.210.0.0/20"), index) for index in range(FIRST, LAST + 1)]
    assert len({lease.link for lease in leases}) == len({lease.mac for lease in leases}) == len(leases)
    assert max(len(lease.link) for lease in leases) <= 15
    assert leases[0].address == IPv4Address("10.210.0.2")


def test_the_stub_resolver_of_the_machine_is_not_for_containers(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("# stub\nnameserver 127.0.0.53\nnameserver ::1\noptions edns0\n")
    real.write_text("nameserver 192.0.2.53\nnameserver fe80::1%eth0\n")
    assert upstream_resolvers([stub, real]) == [IPv4Address("192.0.2.53")]
    assert upstream_resolvers([stub]) == list(PUBLIC)
    assert parse("nameserver\nnameserver x\n") == []


def test_cgroup_mounts_of_every_kind_are_understood() -> None:
    hybrid = (
        "30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
        "33 24 0:29 / / rw - ext4 /dev/sda rw\n"
    )
    found = hierarchies(hybrid)
    assert [sorted(each.controllers) for each in found] == [["memory"], ["cpu", "cpuacct"], []]
    assert found[2].v2


def test_the_second_version_of_cgroups_is_read_from_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "info").write_text(f"32 24 0:28 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    inside = tmp_path / "sky" / "c"
    inside.mkdir(parents=True)
    (inside / "memory.events").write_text("low 0\nmax 7\noom 2\noom_kill 1\n")
    (inside / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (inside / "memory.current").write_text("1000\n")
    (inside / "memory.stat").write_text("anon 1\ninactive_file 400\n")
    (inside / "cgroup.procs").write_text("")
    cgroups = Cgroups(tmp_path / "info")
    assert cgroups.has("memory")
    assert not cgroups.has("rdma")
    assert cgroups.oom_kills("sky/c") == 1
    assert cgroups.usage("sky/c") == (2.5, 600)
    assert cgroups.usage("sky/gone") is None
    assert not cgroups.swap_limit("sky")
    (tmp_path / "sky" / "memory.swap.max").write_text("max")
    assert cgroups.swap_limit("sky")
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    cgroups.join("monitors/c", 4711)
    assert (tmp_path / "monitors" / "c" / "cgroup.procs").read_text() == "4711"


def test_conmon_lines_are_joined_and_streams_kept_apart(tmp_path: Path) -> None:
    text = (
        b"2026-01-01T00:00:00.1+00:00 stdout P par\n2026-01-01T00:00:00.2+00:00 stderr F other\n"
        b"2026-01-01T00:00:00.3+00:00 stdout F tial\n2026-01-01T00:00:00.4+00:00 stdout P rest\n"
    )
    for cut in range(len(text)):
        joiner = LineJoiner()
        assert joiner.feed(text[:cut]) + joiner.feed(text[cut:]) == [b"other\n", b"partial\n"]
        assert joiner.end() == [b"rest\n"]
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"2026-01-01T00:00:00.1+00:00 stdout F %d\n" % number for number in range(9000)))
    assert last_lines(log, 3) == ["8997", "8998", "8999"]
    assert len(last_lines(log, 5000)) == 5000
    assert last_lines(log, 0) == []


def test_a_follower_reads_the_old_file_to_its_end_before_the_new_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    follower = Follower(log, PlainLines())
    assert list(follower.read()) == []
    log.write_bytes(b"one\n")
    assert list(follower.read()) == [b"one\n"]
    with log.open("ab") as stream:
        stream.write(b"two\n")
    log.rename(tmp_path / "old")
    log.write_bytes(b"three\nrest")
    assert list(follower.end()) == [b"two\n", b"three\n", b"rest\n"]
    follower.close()


def test_sizes_count_hard_links_once_and_do_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "big").write_bytes(os.urandom(1 << 20))
    os.link(tmp_path / "sub" / "big", tmp_path / "again")
    (tmp_path / "away").symlink_to("/usr")
    assert 1 << 20 <= size_of(tmp_path) < (1 << 20) + 100_000
    assert DirectoriesLimit([tmp_path], 1 << 20).exceeded(at_once=True)
    assert not DirectoriesLimit([tmp_path], 1 << 21).exceeded(at_once=True)
    assert not DirectoriesLimit([], 0).exceeded(at_once=True)


def test_nothing_is_too_deep_to_be_counted(tmp_path: Path) -> None:
    current = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("n" * 200, dir_fd=current)
        following = os.open("n" * 200, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = following
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=current), "wb") as file:
        file.write(bytes(1 << 20))

    assert size_of(tmp_path) >= 1 << 20


def test_paths_inside_are_translated_as_words_only() -> None:
    real = {"/app": "/data/app", "/cache": "/data/cache", "/app/.env": "/data/env"}
    assert translated("/app/bin/run --cache=/cache /app", real) == "/data/app/bin/run --cache=/data/cache /data/app"
    assert translated("/application /my/app /app.txt", real) == "/application /my/app /app.txt"
    assert translated("cat /app/.env/X", real) == "cat /data/env/X"


def spec(**changes: object) -> ContainerSpec:
    values = {
        "id": "c", "kind": ContainerKind.REPLICA, "app_id": "a", "organization_id": "o", "name": "web.1",
        "command": ["run"], "env": {"PORT": "1", "KEY": Secret("sesame")}, "uid": 7, "port": True,
        "limits": Limits(cpu_millis=500, memory_mb=64, disk_mb=8, pids=9), "layers": [Path("/top"), Path("/low")],
    }  # fmt: skip
    return ContainerSpec(**(values | changes))  # type: ignore[arg-type]


AROUND = Surroundings(
    rootfs=Path("/root/fs"), etc=(Path("/e1"), Path("/e2")), empty=Path("/empty"), upper=Path("/dev/loop7"),
    upper_directory=None, netns="/proc/1/fd/3", cgroup="/sky/c", hostname="web-1", init=("/usr/bin/tini", "-g", "--"),
    seccomp=None, limits_swap=True,
)  # fmt: skip


def test_the_config_says_the_limits_the_user_and_the_mounts() -> None:
    value = config(spec(), AROUND)
    assert value["process"]["args"] == ["/usr/bin/tini", "-g", "--", "run"]
    assert {"PORT=5000", "KEY=sesame", "HOME=/app"} <= set(value["process"]["env"])
    resources = value["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 64 << 20}
    assert resources["cpu"]["quota"] / resources["cpu"]["period"] == 0.5
    assert resources["pids"] == {"limit": 9}
    app = [mount for mount in value["mounts"] if mount["destination"] == "/app"]
    assert [mount["type"] for mount in app] == ["ext4", "overlay"]
    assert "lowerdir=/top:/low" in app[1]["options"]
    assert "upperdir=/root/fs/app/up" in app[1]["options"]


@pytest.mark.parametrize("bad", ["/a:b", "/a,b", "/a\\b"])
def test_paths_that_mount_options_cannot_say_are_refused(bad: str) -> None:
    with pytest.raises(RuntimeFailed, match="can't say"):
        config(spec(layers=[Path(bad)]), AROUND)


def test_the_usual_profile_is_narrowed_and_its_absence_made_up_for(tmp_path: Path) -> None:
    text = (
        '{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": ['
        '{"names": ["read", "mount", "clone"], "action": "SCMP_ACT_ALLOW", "includes": {}, "excludes": {}},'
        '{"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}, "excludes": {}},'
        '{"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}, "excludes": {}},'
        '{"names": ["sync_file_range2"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}, "excludes": {}}'
        "]}"
    )
    (tmp_path / "seccomp.json").write_text(text)
    value = seccomp.profile(tmp_path / "seccomp.json", "x86_64")
    allowed = {name for rule in value["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert allowed == {"read", "arch_prctl", "clone"}
    assert [rule["args"][0]["value"] for rule in value["syscalls"] if rule["names"] == ["clone"]] == [0x7E020000]
    own = seccomp.profile(tmp_path / "none", "x86_64")
    denied = {name for rule in own["syscalls"] for name in rule["names"]}
    assert {"mount", "unshare", "keyctl", "bpf", "kexec_load", "clone", "clone3"} <= denied
