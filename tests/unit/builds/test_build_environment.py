from __future__ import annotations

from pathlib import Path

import pytest

from skypanel.drivers.builder.sandbox import passed_through
from skypanel.drivers.builder.sandbox.run import BuildLog, certificates
from skypanel.drivers.builder.sandbox.toolchains import npm_settings


def test_only_named_variables_pass_and_never_credentials() -> None:
    environment = {
        "PIP_CERT": "x", "UV_INDEX": "y", "HOME": "/root", "SKYPANEL_KEY": "k", "NPM_CONFIG__AUTHTOKEN": "t",
        "UV_INDEX_MINE_PASSWORD": "p", "SSL_CERT_FILE": "c",
    }  # fmt: skip

    assert passed_through(["PIP_*", "UV_*", "NPM_CONFIG_*", "SSL_CERT_FILE"], environment) == {
        "PIP_CERT": "x", "UV_INDEX": "y", "SSL_CERT_FILE": "c",
    }  # fmt: skip


def test_npm_settings_of_the_machine_pass_without_its_tokens(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "registry=https://mirror.example/npm/\n//mirror.example/npm/:_authToken=s3cret\ncafile = /etc/ssl/ca.pem\n"
        "proxy=http://ada:s3cret@proxy\nnoproxy=${NOPE}\nfund=false\n"
    )

    found = npm_settings({}, home=tmp_path)

    assert found["NPM_CONFIG_REGISTRY"] == "https://mirror.example/npm/"
    assert found["NPM_CONFIG_CAFILE"] == "/etc/ssl/ca.pem"
    assert "s3cret" not in repr(found)
    assert not {"NPM_CONFIG_FUND", "NPM_CONFIG_PROXY", "NPM_CONFIG_NOPROXY"} & found.keys()


def test_certificates_outside_of_what_containers_see_are_bound_into_them(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    env = {"SSL_CERT_FILE": str(tmp_path / "ca.pem"), "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt", "OTHER": "1"}

    changed, binds = certificates(env)

    assert changed == {**env, "SSL_CERT_FILE": "/build/certificates/SSL_CERT_FILE.pem"}
    assert [(bind.source, bind.target, bind.writable) for bind in binds] == [
        (tmp_path / "ca.pem", "/build/certificates/SSL_CERT_FILE.pem", False)
    ]


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (b"plain\n", ["plain"]),
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"dos\r\n", ["dos"]),
        (b"key=s3cr3t-value!\n", ["key=[REDACTED]"]),
        (b"second s3cr3t-line\n", ["second [REDACTED]"]),
        (b"short abc\x07\n", ["short abc"]),
        ("ü\xff".encode("latin-1") + b"\n", ["\ufffd\ufffd"]),
        (b"\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
    ],
)
def test_output_reaches_the_log_masked_and_printable(output: bytes, lines: list[str]) -> None:
    seen: list[str] = []

    BuildLog(seen.append, ["s3cr3t-value!", "abc", "first-line\ns3cr3t-line"]).output(output)

    assert seen == lines
