"""The smallest web application that shows where it runs."""

import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    replica = os.environ.get("DYNO", "web.1")
    release = os.environ.get("SKYPANEL_RELEASE", "?")
    text = f"Hello from SkyPanel! This is {replica} of release {release}.\n"
    return text, 200, {"Content-Type": "text/plain; charset=utf-8"}
