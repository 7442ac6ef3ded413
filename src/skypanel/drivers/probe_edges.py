"""Replicas asked through a cluster's ingress nodes, which are in every network that they lead to."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import httpx

from skypanel.drivers.probe import Answer
from skypanel.kit.secret import Secret

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

    def _ask(self, query: dict[str, str], timeout_s: float) -> Answer:
        """What one of them was answered, when all of them reach it: visitors come through each."""
        edges = list(self._edges())
        random.shuffle(edges)
        found: Answer | None = None
        for edge in edges:
            answer = self._through(edge, query, timeout_s)
            if answer is None:
                continue
            if answer.error is not None:
                return answer
            if found is None:
                found, query = answer, {name: query[name] for name in ("address", "port", "network")}
        return found or Answer(error="no ingress node of the cluster can be asked")

    def _through(self, edge: tuple[str, int], query: dict[str, str], timeout_s: float) -> Answer | None:
        """None when the node itself cannot be asked."""
        try:
            answer = self._http.get(
                f"http://{edge[0]}:{edge[1]}/probe", params=query | {"timeout": str(timeout_s)},
                headers={"Authorization": f"Bearer {self._token.reveal()}"},
                timeout=httpx.Timeout(timeout_s + MARGIN_S, connect=1.0),
            )  # fmt: skip
            return Answer(**answer.json()) if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, TypeError):
            return None
