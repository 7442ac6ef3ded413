"""Replicas asked through a cluster's ingress nodes, which are in every network that they lead to."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence

import httpx

from skypanel.drivers.probe import Answer
from skypanel.kit.secret import Secret

log = logging.getLogger(__name__)
ENTER_S = 10.0
MARGIN_S = 2.0  # beyond the question's own time-out


class ThroughEdges:
    """`edges`: address and port of the living ones."""

    def __init__(self, edges: Callable[[], Sequence[tuple[str, int]]], *, token: Secret) -> None:
        self._edges, self._token = edges, token
        self._http = httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=128))

    def tcp(self, address: str, port: int, *, timeout_s: float, network: str = "") -> Answer:
        return self._ask({"address": address, "port": str(port), "network": network}, timeout_s)

    def http(
        self, address: str, port: int, path: str, *, host: str, timeout_s: float, headers: Mapping[str, str],
        network: str = "",
    ) -> Answer:  # fmt: skip
        del headers  # the node adds those of a health check itself
        return self._ask(
            {"address": address, "port": str(port), "path": path, "host": host, "network": network}, timeout_s
        )

    def enter(self, network: str) -> bool:
        """Has every node enter it; True when one of them was not in it. One that is away enters it later."""
        entered = False
        for edge, port in self._edges():
            try:
                answer = self._http.post(
                    f"http://{edge}:{port}/join", params={"network": network}, headers=self._signed(),
                    timeout=httpx.Timeout(ENTER_S, connect=1.0),
                )  # fmt: skip
            except httpx.HTTPError as error:
                log.warning("the ingress node %s cannot be asked to enter %s: %s", edge, network, error)
            else:
                entered |= answer.status_code == 201
        return entered

    def close(self) -> None:
        self._http.close()

    def _signed(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token.reveal()}"}

    def _ask(self, query: dict[str, str], timeout_s: float) -> Answer:
        edges = list(self._edges())
        random.shuffle(edges)
        for edge, port in edges:
            try:
                answer = self._http.get(
                    f"http://{edge}:{port}/probe", params=query | {"timeout": str(timeout_s)},
                    headers=self._signed(),
                    timeout=httpx.Timeout(timeout_s + MARGIN_S, connect=1.0),
                )  # fmt: skip
                if answer.status_code == 200:
                    return Answer(**answer.json())
            except (httpx.HTTPError, ValueError, TypeError):
                continue
        return Answer(error="no ingress node of the cluster can be asked")
