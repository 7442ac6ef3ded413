"""The API against its own OpenAPI document, with whatever schemathesis thinks of: right data and wrong, signed in as
owner, viewer and admin, and signed out. No 500, no answer the document does not have."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from apps_world import World, build_world
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import sampled_from
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from skypanel.accounts.models import User
from skypanel.api.app import create_api
from skypanel.db import Database

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# Streams do not end; what they answer is tested where they are read.
STREAMS = r"/stream$"
EXAMPLES = 20
PEOPLE = [("acme", "owner"), ("acme", "viewer"), ("rival", "owner"), None]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite:///{Path(directory) / 'fuzz.db'}")
        made = build_world(database)
        made.release(made.app("Shop", plan="pro"))
        with database.transaction() as session:
            session.get_one(User, made.viewer("rival").user_id).is_admin = True
        yield made
        database.close()


@pytest.fixture(scope="module")
def document(world: World) -> Any:
    api = create_api(world.services)
    # Who asks is ours to say, so schemathesis shall not make up tokens of its own.
    for operations in api.openapi()["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return schemathesis.openapi.from_asgi("/api/openapi.json", api).exclude(path_regex=STREAMS)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_every_answer_is_one_the_document_knows(world: World, document: Any, mode: GenerationMode) -> None:
    found, asked = [], 0
    for operation in (result.ok() for result in document.get_all_operations()):
        try:
            asked += ask(world, operation, mode)
        except Exception as error:  # noqa: BLE001  all of them are told, not the first alone
            found.append(f"{operation.label}: {str(error)[:1500]}")
    assert not found, "\n\n".join(found)
    assert asked > 800


def ask(world: World, operation: Any, mode: GenerationMode) -> int:
    """How many requests were made."""
    count = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(case=operation.as_strategy(generation_mode=mode), who=sampled_from(PEOPLE))
    def once(case: Any, who: tuple[str, str] | None) -> None:
        nonlocal count
        count += 1
        for name in [name for name in case.headers or {} if name.lower() == "authorization"]:
            del case.headers[name]
        headers = {} if who is None else {"Authorization": f"Bearer {world.tokens[who]}"}
        case.call_and_validate(checks=CHECKS, headers=headers)

    try:
        once()
    except Unsatisfiable:  # nothing of it can be wrong
        assert mode is GenerationMode.NEGATIVE
    return count
