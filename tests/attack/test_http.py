"""Requests that mean one thing to the router and another to who answers: whose they are, where they end, from where
they come. Against a real Traefik, the platform's server and a backend that believes everything it is told."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import httpx
import pytest
from git_http import GitHttpServer
from site_under_test import Client, Site, eventually

pytestmark = pytest.mark.root

# Takes Content-Length before Transfer-Encoding and keeps connections open: a router that lets both pass desynchronizes.
ECHO = """
import json, os, socketserver
SEEN = []

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.head():
            lines = head.decode("latin-1").split("\\r\\n")
            headers = [line.partition(":")[::2] for line in lines[1:] if ":" in line]
            headers = [(name.strip(), value.strip()) for name, value in headers]
            find = {name.lower(): value for name, value in headers}
            body = b""
            if "content-length" in find:
                body = self.rfile.read(int(find["content-length"]))
            elif find.get("transfer-encoding", "").lower() == "chunked":
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
            SEEN.append(lines[0])
            answer = {"app": os.environ["SKYPANEL_APP"], "line": lines[0], "headers": headers, "body": len(body)}
            if " /seen " in lines[0]:
                answer = SEEN
            content = json.dumps(answer).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(content), content))

    def head(self):
        found = b""
        while not found.endswith(b"\\r\\n\\r\\n"):
            line = self.rfile.readline()
            if not line:
                return b""
            found += line
        return found[:-4]

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 128

Server(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def deployed_echo(client: Client, repositories: GitHttpServer, name: str) -> str:
    files = {"server.py": ECHO, "requirements.txt": "", "Procfile": "web: python server.py\n"}
    repositories.make(name, files)
    client.create(name, repositories.url(name), health_check={"type": "tcp"})
    client.deployed(name)
    return f"{name}.apps.localhost"


@pytest.fixture(scope="module")
def adas(ada: Client, repositories: GitHttpServer) -> str:
    return deployed_echo(ada, repositories, "echo-ada")


@pytest.fixture(scope="module")
def mallorys(mallory: Client, repositories: GitHttpServer) -> str:
    return deployed_echo(mallory, repositories, "echo-mallory")


def raw(platform: Site, request: bytes, *, timeout_s: float = 5) -> list[tuple[int, dict[str, str], bytes]]:
    """Sends bytes; every answer that comes before the connection ends or falls silent."""
    data = b""
    with socket.create_connection(("127.0.0.1", platform.port), timeout=timeout_s) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(1.5)
            while chunk := connection.recv(65_536):
                data += chunk
        except OSError:  # falls silent, or was hung up on
            pass
    answers = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", len(rest)))
        answers.append((int(lines[0].split()[1]), headers, rest[:length]))
        data = rest[length:]
    return answers


def apps(answers: list[tuple[int, dict[str, str], bytes]]) -> list[dict[str, Any]]:
    """What backends said that got these requests."""
    return [json.loads(body) for status, _, body in answers if status == 200 and body.startswith(b'{"app"')]


# --- whose it is


def test_every_host_that_an_app_sees_is_its_own(platform: Site, adas: str, mallorys: str) -> None:
    """Whatever a request says where it goes to: who answers was meant by what it sees as the host."""
    names = {"echo-ada": adas, "echo-mallory": mallorys}
    both = (
        (mallorys, adas),
        (adas, mallorys),
        (mallorys, "localhost"),
        ("localhost", mallorys),
        (mallorys, "127.0.0.1"),
    )
    asked = []
    for first, second in both:
        asked += [
            f"GET / HTTP/1.1\r\nHost: {first}\r\nHost: {second}\r\n\r\n",
            f"GET http://{second}/ HTTP/1.1\r\nHost: {first}\r\n\r\n",
            f"GET http://{second}@{first}/ HTTP/1.1\r\nHost: {second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first}\r\n Host: {second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first}\r\nX-Forwarded-Host: {second}\r\nForwarded: host={second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first}@{second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first},{second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first}/{second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first}\0{second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost : {second}\r\nHost: {first}\r\n\r\n",
            f"GET //{second}/ HTTP/1.1\r\nHost: {first}\r\n\r\n",
            f"GET @{second}/ HTTP/1.1\r\nHost: {first}\r\n\r\n",
            f"CONNECT {second}:80 HTTP/1.1\r\nHost: {first}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first}:80@{second}:80\r\n\r\n",
            f"GET / HTTP/1.0\r\nHost: {first}\r\nX-Original-Host: {second}\r\nX-Host: {second}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {first.upper()}.\r\n\r\n",
        ]
    answered = 0
    for request in asked:
        answers = raw(platform, request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode())
        for seen in apps(answers):
            answered += 1
            told = [value.lower().rstrip(".") for name, value in seen["headers"] if name.lower() == "host"]
            assert told == [names[seen["app"]]], (request, seen)
            forwarded = [value for name, value in seen["headers"] if name.lower() == "x-forwarded-host"]
            assert [value.lower().rstrip(".") for value in forwarded] == told, request
        assert all(status < 500 or status == 501 for status, _, _ in answers), (request, answers)
    assert answered >= 10


def test_the_api_is_at_the_platforms_names_only(platform: Site, mallorys: str) -> None:
    for host in (mallorys, "unknown.apps.localhost", "evil.example", "localhost.evil.example"):
        answer = platform.http.get(f"{platform.url}/api/auth/me", headers={"Host": host})
        assert "problem+json" not in answer.headers.get("content-type", ""), host
    for path in ("/_pages/503/suspended", "/_pages/../api/auth/me", "//api/auth/me", "/%2e%2e/api/auth/me"):
        assert b"unauthenticated" not in b"".join(body for _, _, body in raw(
            platform, f"GET {path} HTTP/1.1\r\nHost: {mallorys}\r\nConnection: close\r\n\r\n".encode()
        )), path  # fmt: skip


# --- where it ends

SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
FRAMES = {
    "length and chunks": "Content-Length: {size}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{hex}\r\n{smuggled}\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: {size}\r\n\r\n{smuggled}",
    "two lengths in one": "Content-Length: 0, {size}\r\n\r\n{smuggled}",
    "a signed length": "Content-Length: +{size}\r\n\r\n{smuggled}",
    "a negative length": "Content-Length: -1\r\n\r\n{smuggled}",
    "a length in hexadecimal": "Content-Length: 0x{hex}\r\n\r\n{smuggled}",
    "a blank before the colon": "Transfer-Encoding : chunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "a tab": "Transfer-Encoding:\tchunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "another coding": "Transfer-Encoding: xchunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "two codings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{smuggled}",
    "codings in one": "Transfer-Encoding: identity, chunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "a folded header": "X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "a bare line feed": "X: y\nTransfer-Encoding: chunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "a carriage return": "X: y\rTransfer-Encoding: chunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "a nul": "X: y\0\r\nTransfer-Encoding\0: chunked\r\nContent-Length: {size}\r\n\r\n0\r\n\r\n{smuggled}",
    "a chunk too large": "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n{smuggled}",
    "a chunk's extension": "Transfer-Encoding: chunked\r\n\r\n0;a=\n{smuggled}",
    "a trailer": "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: {size}\r\nHost: evil\r\n\r\n{smuggled}",
    "underscores": "Transfer_Encoding: chunked\r\nContent_Length: 0\r\nContent-Length: {size}\r\n\r\n{smuggled}",
    "hop by hop": "Connection: Content-Length\r\nContent-Length: {size}\r\n\r\n{smuggled}",
}


def test_router_and_app_agree_on_where_each_request_ends(platform: Site, mallory: Client, mallorys: str) -> None:
    """What the app takes for a request of its own is one of the router's too, in its log, or a request was smuggled."""
    smuggled = SMUGGLED.format(host=mallorys)
    for number, frame in enumerate(FRAMES.values()):
        hidden = smuggled.replace("/smuggled", f"/smuggled-{number}")
        rest = frame.format(size=len(hidden), hex=f"{len(hidden):x}", smuggled=hidden)
        sent = f"POST /frame-{number} HTTP/1.1\r\nHost: {mallorys}\r\n{rest}"
        raw(platform, sent.encode("latin-1"))
    # A visitor after it gets an answer to his own question.
    for number in range(20):
        (seen,) = apps(
            raw(platform, f"GET /own-{number} HTTP/1.1\r\nHost: {mallorys}\r\nConnection: close\r\n\r\n".encode())
        )
        assert seen["line"] == f"GET /own-{number} HTTP/1.1"
    seen_by_app = mallory.get("echo-mallory", "/seen").json()
    paths = {line.split()[1] for line in seen_by_app}
    assert "/own-19" in paths
    assert any(path.startswith("/frame-") for path in paths)

    def routed() -> set[str]:
        lines = mallory.logs("echo-mallory", "&source=router")
        return {path for line in lines for path in re.findall(r'path="([^"]*)"', line["message"])}

    eventually(lambda: paths - {"/seen"} <= routed(), what=f"a line of the router for each of {sorted(paths)}")


# --- from where it comes


def test_nobody_says_who_he_is_but_the_router(platform: Site, mallorys: str) -> None:
    words = (
        "X-Forwarded-For: 6.6.6.6", "X_Forwarded_For: 6.6.6.6", "X-Real-Ip: 6.6.6.6",
        "Forwarded: for=6.6.6.6;proto=https",
        "X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "Proxy: http://6.6.6.6/", "X-Forwarded-Server: 6.6.6.6",
        "Connection: close, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Real-Ip",
        "X-Forwarded-Tls-Client-Cert: 6.6.6.6",
    )  # fmt: skip
    request = f"GET / HTTP/1.1\r\nHost: {mallorys}\r\n" + "".join(f"{word}\r\n" for word in words) + "\r\n"
    (seen,) = apps(raw(platform, request.encode()))
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == mallorys
    assert "6.6.6.6" not in json.dumps(seen)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "6.6.6.6"}, {"X-Forwarded-For": "6.6.6.6", "Connection": "close, X-Forwarded-For"},
        {"Forwarded": "for=6.6.6.6"}, {"X_Forwarded_For": "6.6.6.6"}, {"X-Real-Ip": "6.6.6.6"},
    ],
)  # fmt: skip
def test_the_activity_feed_knows_the_real_address(mallory: Client, headers: dict[str, str]) -> None:
    mallory.call("PATCH", f"/organizations/{mallory.organization_id}", {"name": "mallory"}, headers=headers)
    body = {"email": "somebody@example.org", "role": "viewer"}
    mallory.call("POST", f"/organizations/{mallory.organization_id}/invitations", body, headers=headers)
    newest = mallory.call("GET", f"/organizations/{mallory.organization_id}/activity?limit=1")["items"][0]
    assert newest["address"] == "127.0.0.1"


# --- how much it is


def test_headers_and_bodies_have_a_limit_and_neighbours_do_not_notice(
    platform: Site, ada: Client, mallorys: str, adas: str
) -> None:
    for field in (
        f"X: {'a' * 2_000_000}\r\n",
        "".join(f"X-{n}: {'a' * 90}\r\n" for n in range(20_000)),
        f"{'n' * 2_000_000}: x\r\n",
    ):
        answers = raw(platform, f"GET / HTTP/1.1\r\nHost: {mallorys}\r\n{field}\r\n".encode())
        assert [status for status, _, _ in answers] in ([431], [400], []), answers
    line = raw(platform, f"GET /{'a' * 2_000_000} HTTP/1.1\r\nHost: {mallorys}\r\n\r\n".encode())
    assert [status for status, _, _ in line] in ([431], [414], [400], [])
    for path in ("/api/auth/login", "/login", "/api/auth/register", "/nothing"):
        answer = platform.http.post(f"{platform.url}{path}", content=b"x" * 3_000_000)
        assert answer.status_code in (403, 404, 413), (path, answer.status_code)
    (seen,) = apps(raw(platform, f"GET /after HTTP/1.1\r\nHost: {adas}\r\nConnection: close\r\n\r\n".encode()))
    assert seen["app"] == "echo-ada"


# --- what a browser would carry along


def test_cookies_open_no_route_of_the_api_and_other_sites_are_told_nothing(platform: Site, ada: Client) -> None:
    for cookie in ("skypanel_session", "session", "token", "Authorization"):
        headers = {"Cookie": f"{cookie}={ada.token}", "Origin": "http://evil.example"}
        answer = platform.http.get(f"{platform.url}/api/auth/me", headers=headers)
        assert answer.status_code == 401
    for method in ("OPTIONS", "GET", "POST"):
        headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        answer = platform.http.request(method, f"{platform.url}/api/paas/apps", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_a_sign_in_by_form_needs_the_forms_own_token_and_leaves_a_cookie_that_scripts_cannot_read(
    platform: Site, ada: Client
) -> None:
    with httpx.Client(trust_env=False, base_url=platform.url) as browser, httpx.Client(
        trust_env=False, base_url=platform.url
    ) as other:  # fmt: skip
        page = browser.get("/login")
        token = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
        assert token is not None
        form = {"email": "ada@example.org", "password": "a long password of ada"}
        assert browser.post("/login", data=form).status_code == 403
        assert browser.post("/login", data={**form, "token": "0" * 64}).status_code == 403
        other.get("/login")
        assert other.post("/login", data={**form, "token": token[1]}).status_code == 403, "another visitor's"
        cross = {"Sec-Fetch-Site": "cross-site"}
        assert browser.post("/login", data={**form, "token": token[1]}, headers=cross).status_code == 403
        for elsewhere in (
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/\t/evil.example",
            "javascript:x",
        ):
            visit = browser.post("/login", data={**form, "token": token[1], "next": elsewhere})
            assert visit.headers["location"] == "/apps", elsewhere
            browser.cookies.delete("skypanel_session")
        signed_in = browser.post("/login", data={**form, "token": token[1]})
        assert signed_in.status_code == 303
        cookie = next(value for value in signed_in.headers.get_list("set-cookie") if "skypanel_session" in value)
        assert {"httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
        assert "domain=" not in cookie.lower()
        kept = dict(browser.cookies)
        before = browser.get("/apps")
        assert before.status_code == 200
        policy = before.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        out = re.search(r'name="token" value="([0-9a-f]+)"', before.text)
        assert out is not None
        assert browser.post("/logout", data={"token": token[1]}).status_code == 403, "the token of before the sign-in"
        assert browser.post("/logout", data={"token": out[1]}).status_code == 303
        cookies = "; ".join(f"{name}={value}" for name, value in kept.items())
        replayed = platform.http.get(f"{platform.url}/apps", headers={"Cookie": cookies})
        assert replayed.status_code == 303
        assert replayed.headers["location"].startswith("/login")
        answer = platform.http.get(
            f"{platform.url}/api/auth/me", headers={"Authorization": f"Bearer {kept['skypanel_session']}"}
        )
        assert answer.status_code == 401
