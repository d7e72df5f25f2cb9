"""Every operation shows what is sent and what comes back, and each example fits its schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from diagnosis.api import examples
from diagnosis.api.schema import CachedGenerator

Json = dict[str, Any]


@pytest.fixture(scope="module")
def schema() -> Json:
    found: Json = CachedGenerator().get_schema(public=True)
    return found


def media(schema: Json) -> Iterator[tuple[str, Json]]:
    for methods in schema["paths"].values():
        for operation in methods.values():
            name = operation["operationId"]
            for kind, body in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{name}, sent as {kind}", body
            for status, answer in operation["responses"].items():
                for kind, body in answer.get("content", {}).items():
                    if body["schema"].get("format") != "binary":
                        yield f"{name}, answered with {status} as {kind}", body


def test_each_operation_has_examples(schema: Json) -> None:
    assert [where for where, body in media(schema) if not body.get("examples")] == []


def test_each_example_fits_its_schema(schema: Json) -> None:
    wrong, seen = [], 0
    for where, body in media(schema):
        validator = jsonschema.Draft202012Validator(
            {**body["schema"], "components": schema["components"]}, format_checker=jsonschema.FormatChecker()
        )
        for name, example in body.get("examples", {}).items():
            seen += 1
            if "$ref" in example:
                example = schema["components"]["examples"][example["$ref"].rpartition("/")[2]]
            wrong += [
                f"{where}, “{name}”: {each.json_path} {each.message}"
                for each in validator.iter_errors(example["value"])
            ]
    assert wrong == []
    assert seen > 200


def test_a_member_that_is_wrong_would_be_found(schema: Json) -> None:
    wrong = {**examples.EXAMPLES["Case"], "status": "lost"}
    of_case = {"$ref": "#/components/schemas/Case", "components": schema["components"]}
    assert not jsonschema.Draft202012Validator(of_case).is_valid(wrong)


def test_no_example_is_of_nothing(schema: Json) -> None:
    assert set(examples.EXAMPLES) - set(schema["components"]["schemas"]) == set()
