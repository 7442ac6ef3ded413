from skypanel.manage import doctor
from skypanel.manage.doctor import Finding, kernel, line, network, programs


def test_a_missing_program_is_named_with_the_command_that_installs_it() -> None:
    (found,) = programs(lambda name: None if name in ("runc", "nft") else f"/usr/bin/{name}")
    assert not found.ok
    assert not found.blocks
    assert found.remedy == "apt-get install runc nftables"


def test_without_git_nothing_works() -> None:
    (found,) = programs(lambda name: None if name == "git" else f"/usr/bin/{name}")
    assert found.blocks


def test_an_old_kernel_and_a_missing_overlay_are_problems() -> None:
    assert [finding.ok for finding in kernel("4.9.0-13-amd64", "nodev\tproc\n")] == [False, False]
    assert [finding.ok for finding in kernel("5.10.0-8-amd64", "nodev\tproc\nnodev\toverlay\n")] == [True, True]


def test_names_that_cannot_be_resolved_are_listed() -> None:
    def refuse(name: str, port: int) -> object:
        raise OSError(name)

    (found,) = network(refuse)
    assert "pypi.org" in found.message
    assert "resolv.conf" in found.remedy


def test_every_finding_is_one_line_and_a_problem_ends_with_its_remedy() -> None:
    text = line(Finding("ports", False, "8080 is taken", "choose another"))
    assert text == "PROBLEM  ports        8080 is taken -> choose another"
    assert "\n" not in text
    assert line(Finding("ports", True, "free", "not shown")).endswith("free")


def test_only_what_blocks_makes_the_exit_code_1(monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    note = Finding("root", False, "not root", "be root", blocks=False)
    monkeypatch.setattr(doctor, "examine", lambda _settings: [note])
    assert doctor.doctor(None, as_json=False) == 0  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "examine", lambda _settings: [note, Finding("git", False, "missing", "install")])
    assert doctor.doctor(None, as_json=True) == 1  # type: ignore[arg-type]
    assert '"remedy": "install"' in capsys.readouterr().out
