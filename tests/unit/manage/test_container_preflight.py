"""What `up` and `demo` say of a machine that cannot run containers: one line with the remedy."""

from dataclasses import replace
from pathlib import Path

import pytest

from skypanel.drivers.runtime.oci.doctor import Machine
from skypanel.manage import choices, preflight
from skypanel.manage.doctor import kernel
from skypanel.manage.preflight import CannotStart, check_containers, complete_path
from skypanel.settings import Settings


class AllControllers:
    def has(self, _controller: str) -> bool:
        return True


GOOD = Machine(
    uid=0, kernel="6.1.0", which=lambda name: f"/usr/bin/{name}", filesystems="overlay", loop_control=Path("/none"),
    cgroups=AllControllers(), forward=lambda: "-P FORWARD DROP\n",  # type: ignore[arg-type]
)  # fmt: skip


@pytest.fixture(autouse=True)
def may_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "possible", lambda: True)


@pytest.mark.parametrize(
    ("machine", "remedy"),
    [
        (replace(GOOD, kernel="4.9.0-13-amd64"), "5.10"),
        (replace(GOOD, which=lambda name: None if name == "runc" else name), "apt-get install runc"),
        (replace(GOOD, which=lambda name: None if name == "conmon" else name), "apt-get install conmon"),
        (replace(GOOD, cgroups=None), "cgroup"),
        (replace(GOOD, uid=1000), "as root"),
    ],
)
def test_what_containers_need_is_asked_for_in_one_line(machine: Machine, remedy: str) -> None:
    with pytest.raises(CannotStart) as caught:
        check_containers("oci", machine=machine)
    message = str(caught.value)
    assert remedy in message
    assert message.endswith("SKYPANEL_RUNTIME=process.")
    assert "\n" not in message
    check_containers("process", machine=machine)


def test_what_a_start_can_do_without_stops_nothing() -> None:
    check_containers("oci", machine=GOOD)  # no loop devices, Docker's FORWARD policy


def test_root_that_may_not_mount_is_told_and_gets_trusted_mode_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "possible", lambda: False)
    with pytest.raises(CannotStart, match="SYS_ADMIN"):
        check_containers("oci", machine=GOOD)
    monkeypatch.setattr(choices, "possible", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert choices.chosen_runtime(Settings(runtime="auto")) == "process"
    monkeypatch.setattr(choices, "possible", lambda: True)
    assert choices.chosen_runtime(Settings(runtime="auto")) == "oci"


def test_an_old_kernel_does_not_block_trusted_mode() -> None:
    assert all(not finding.ok and not finding.blocks for finding in kernel("4.4.0", "", blocks=False))
    assert all(finding.blocks for finding in kernel("4.19.0", "", blocks=True))


def test_system_programs_are_found_where_su_left_their_directories_out() -> None:
    assert complete_path("/usr/bin:/bin") == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
    assert complete_path("/usr/sbin:/opt") == "/usr/sbin:/opt:/usr/local/sbin:/sbin"
