"""Bodies of variables. Values come in and never go out, not even in an error."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from pydantic import ConfigDict, Field, ValidationError

from skypanel.api.shapes import DeploymentBody
from skypanel.apps.dotenv_files import MAX_FILE_BYTES
from skypanel.apps.set_env import EnvChange
from skypanel.errors import FieldError, Invalid
from skypanel.http.schema import RequestBody, ResponseBody, Timestamp


class SecretBody(RequestBody):
    # Values count byte for byte, blanks included, and no error repeats them.
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False, hide_input_in_errors=True)


class VariablesBody(SecretBody):
    vars: dict[str, str | None] = Field(
        repr=False,
        description="Name to value; null removes the variable. Others stay as they are",
        examples=[{"DATABASE_URL": "postgresql://…", "OLD_NAME": None}],
    )


class ImportBody(SecretBody):
    content: str = Field(repr=False, description="A `.env` file")


class VariableBody(ResponseBody):
    """What is known of a variable: everything but its value."""

    name: str
    created_at: Timestamp
    updated_at: Timestamp


class ChangeBody(ResponseBody):
    added: list[str]
    updated: list[str]
    removed: list[str]
    unchanged: list[str]

    @staticmethod
    def of(change: EnvChange) -> ChangeBody:
        return ChangeBody(
            added=list(change.added),
            updated=list(change.updated),
            removed=list(change.removed),
            unchanged=list(change.unchanged),
        )


class EnvAnswer(ResponseBody):
    """`deployment` brings the change to the running application; null when nothing differs, nothing runs, or
    `deploy=false` held it back until the next deploy."""

    items: list[VariableBody]
    changed: ChangeBody
    deployment: DeploymentBody | None
    job_id: str | None


class IgnoredBody(ResponseBody):
    line: int
    name: str | None = Field(description="Only where it certainly is a name")
    reason: str


class ImportAnswer(EnvAnswer):
    ignored: list[IgnoredBody]


IMPORT_DOCS = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["content"],
                    "properties": {"content": {"type": "string", "description": "A `.env` file"}},
                    "additionalProperties": False,
                }
            },
            "text/plain": {"schema": {"type": "string", "description": "A `.env` file"}},
        },
    }
}


async def imported_text(request: Request) -> str:
    """The file: the whole body, or `content` of a JSON one. Raises Invalid, never repeating any of it."""
    body = await request.body()
    if len(body) > 2 * MAX_FILE_BYTES:
        raise Invalid(f"The file has more than {MAX_FILE_BYTES // 1024} KB.", code="env_too_large")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in ("application/json", ""):
            return ImportBody.model_validate_json(body).content
        return body.decode("utf-8-sig")
    except (ValidationError, UnicodeDecodeError):
        message = 'Send {"content": "…"} as JSON, or the file itself as text/plain in UTF-8.'
        raise Invalid(message, code="env_file_invalid", errors=[FieldError("content", "is required")]) from None


ImportedText = Annotated[str, Depends(imported_text)]
