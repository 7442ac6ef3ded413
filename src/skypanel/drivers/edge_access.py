"""The access logs of a cluster's ingress nodes, piece by piece: how they are asked for, and what the answers mean.

`GET /access?generation=&offset=` (neither: from the beginning) -> 200 with whole lines, 204 when none came for a while

A generation is one file. Its bytes never change, so a place in it names the same line for ever. Lines are only of the
generation that was asked for: behind its end, or when it is not there, the answer names the one to go on with.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import httpx

from skypanel.kit.secret import Secret

HOLD_S = 8.0  # so long an answer may wait for a line
MARGIN_S = 5.0
MISSED = "X-Access-Missed"
START, NEXT = "X-Access-Start", "X-Access-Next"
_PLACE = re.compile(r"(\d{1,12}\.[0-9a-f]{8}):(\d{1,18})")


class Place(NamedTuple):
    generation: str  # "<number>.<random>"
    offset: int

    @staticmethod
    def parse(text: str) -> Place:
        """Raises ValueError."""
        if (found := _PLACE.fullmatch(text)) is None:
            raise ValueError(f"{text!r} is no place in an access log")
        return Place(found[1], int(found[2]))

    def __str__(self) -> str:
        return f"{self.generation}:{self.offset}"


class Piece(NamedTuple):
    start: Place
    lines: bytes  # none in a piece that only says where to go on
    next: Place  # behind the lines, and behind one that was too long to be told
    missed: bool = False  # lines before `start` were dropped, and nobody had asked for them


class EdgeAccess:
    def __init__(self, token: Secret) -> None:
        self._token = token
        self._http = httpx.Client(trust_env=False)

    def read(self, address: str, port: int, place: Place | None) -> Piece | None:
        """None when nothing has come. Raises OSError when the node does not answer, or not as it should."""
        try:
            answer = self._http.get(
                f"http://{address}:{port}/access",
                params={} if place is None else {"generation": place.generation, "offset": place.offset},
                headers={"Authorization": f"Bearer {self._token.reveal()}"},
                timeout=httpx.Timeout(HOLD_S + MARGIN_S, connect=1.0),
            )
            if answer.status_code == 204:
                return None
            if answer.status_code == 200:
                start, following = (Place.parse(answer.headers[name]) for name in (START, NEXT))
                return Piece(start, answer.content, following, MISSED in answer.headers)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise OSError(f"the access log at {address} cannot be had: {error}") from error
        raise OSError(f"the access log at {address} cannot be had: it answers {answer.status_code}")
