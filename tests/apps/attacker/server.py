# ruff: noqa: PTH123
import http.server
import json
import os

import attack


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        content = {"/build": built, "/own": own}.get(self.path, dict)()
        self.answer(content)

    def do_POST(self):
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(attack.report(wanted))

    def answer(self, content):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


def built():
    with open("build-report.json") as file:
        return {"build": json.load(file)}


def own():
    """A file of the shared layer: told to whoever asks, and then changed."""
    with open("shared.txt") as file:
        content = file.read()
    with open("shared.txt", "w") as file:
        file.write("changed by mallory")
    with open("/tmp/left-by-a-replica", "w") as file:
        file.write("x")
    return {"file": content.strip()}


http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
