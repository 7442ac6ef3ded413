import stat
from pathlib import Path

from skypanel.instance import Instance, instance_bytes, read_instance
from skypanel.manage.keys import add_master_key, ensure_keys, keep_first_master_key, master_keys
from skypanel.manage.layout import DIRECTORIES, SERVER_READS, SERVER_WRITES, ensure_layout

SECRET = {
    "containers",
    "layers",
    "slugs",
    "cache",
    "mirrors",
    "builds",
    "spool",
    "toolchains",
    "supervise",
    "router",
    "log",
}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_directory_is_made_with_its_mode_and_mended(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ensure_layout(data, uid=None, gid=None)
    (data / "keys").chmod(0o777)
    ensure_layout(data, uid=None, gid=None)
    assert {d.name: mode(data / d.name) for d in DIRECTORIES} == {d.name: d.mode for d in DIRECTORIES}
    assert mode(data) == 0o711


def test_the_server_is_shown_nothing_of_tenants_and_nothing_of_the_process_manager() -> None:
    assert not SECRET & {*SERVER_READS, *SERVER_WRITES}


def test_nobody_but_owner_and_group_reads_keys_databases_and_logs() -> None:
    for directory in DIRECTORIES:
        if directory.name != "git":
            assert directory.mode & 0o006 == 0, directory.name


def test_keys_are_made_once_and_are_for_their_owner_only(tmp_path: Path) -> None:
    ensure_keys(tmp_path, gid=None)
    first = (tmp_path / "master.keys").read_text(), (tmp_path / "jwt.key").read_text()
    ensure_keys(tmp_path, gid=None)
    assert ((tmp_path / "master.keys").read_text(), (tmp_path / "jwt.key").read_text()) == first
    assert mode(tmp_path / "master.keys") == mode(tmp_path / "jwt.key") == 0o600
    assert len(first[1].strip()) == 64


def test_a_rotated_key_comes_first_and_the_older_ones_go_last(tmp_path: Path) -> None:
    ensure_keys(tmp_path, gid=None)
    (old,) = master_keys(tmp_path)
    new, kept = add_master_key(tmp_path, gid=None)
    assert kept == old
    assert new != old
    keep_first_master_key(tmp_path, gid=None)
    assert master_keys(tmp_path) == [new]


def test_an_instance_is_read_as_it_was_written(tmp_path: Path) -> None:
    instance = Instance(id="0a1b2c3d", uid=64_010, gid=64_010, network="10.210.0.0/20", server_port=4711)
    assert read_instance(tmp_path) is None
    (tmp_path / "instance.json").write_bytes(instance_bytes(instance))
    assert read_instance(tmp_path) == instance
