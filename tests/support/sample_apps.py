"""Files of small apps that tests deploy."""

from __future__ import annotations

from git_http import GitHttpServer
from site_under_test import ROOT

FLASK = {
    "app.py": (
        "import os\nfrom flask import Flask\napp = Flask(__name__)\n"
        "@app.get('/')\ndef home():\n    return f\"one {os.environ.get('GREETING', '')} {os.environ['DYNO']}\"\n"
    ),
    "requirements.txt": "flask\ngunicorn\n",
    "Procfile": "web: gunicorn --bind 0.0.0.0:$PORT app:app\n",
}

_SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({status})
        self.end_headers()
        self.wfile.write(b"{body}")

http.server.ThreadingHTTPServer(({address!r}, {port}), Handler).serve_forever()
"""


def plain_server(
    status: int = 200, body: str = "good", address: str = "0.0.0.0", port: str = "int(os.environ['PORT'])"
) -> dict[str, str]:
    """A Python app without any dependency that answers everything alike."""
    return {
        "server.py": _SERVER.format(status=status, body=body, address=address, port=port),
        "requirements.txt": "",
        "Procfile": "web: python server.py\n",
    }


def load_target(repositories: GitHttpServer) -> str:
    """The Git URL of the app that the load tests use."""
    directory = ROOT / "tests" / "apps" / "load-target"
    repositories.make("load-target", {path.name: path.read_text() for path in directory.iterdir()})
    return repositories.url("load-target")
