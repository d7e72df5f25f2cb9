"""Each rule of what breaks a client, and that the accepted schema is the present one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from diagnosis.api.contract import breaking
from diagnosis.management.commands import api_contract

Schema = dict[str, Any]


def schema() -> Schema:
    """A small API with one of each thing that a rule speaks of."""
    thing = {
        "type": "object",
        "required": ["id", "state"],
        "properties": {
            "id": {"type": "integer"},
            "state": {"allOf": [{"$ref": "#/components/schemas/State"}], "description": "How far it is."},
            "name": {"type": ["string", "null"]},
            "parent": {"oneOf": [{"$ref": "#/components/schemas/Thing"}, {"type": "null"}]},
            "at": {"type": "string", "format": "date-time"},
            "marks": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "number"}}}},
        },
    }
    sent = {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "count": {"type": ["integer", "null"], "minimum": 0},
            "state": {"$ref": "#/components/schemas/State"},
        },
        "additionalProperties": False,
    }
    answer = {
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}},
        "headers": {"ETag": {}},
    }
    return {
        "paths": {
            "/things/": {
                "post": {
                    "operationId": "make",
                    "parameters": [{"in": "query", "name": "dry", "schema": {"type": "boolean"}}],
                    "requestBody": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Sent"}},
                            "text/plain": {"schema": {"type": "string"}},
                        }
                    },
                    "responses": {"201": answer, "400": {}},
                },
                "get": {"operationId": "all", "responses": {"200": answer}},
            }
        },
        "components": {
            "schemas": {"Thing": thing, "Sent": sent, "State": {"type": "string", "enum": ["open", "done"]}}
        },
    }


def _post(new: Schema) -> Schema:
    operation: Schema = new["paths"]["/things/"]["post"]
    return operation


def _thing(new: Schema) -> Schema:
    thing: Schema = new["components"]["schemas"]["Thing"]
    return thing


def _sent(new: Schema) -> Schema:
    sent: Schema = new["components"]["schemas"]["Sent"]
    return sent


def _need(part: Schema, name: str, value: Any) -> None:
    part["properties"][name] = value
    part["required"].append(name)


BREAKS: dict[str, tuple[Callable[[Schema], Any], str]] = {
    "path": (lambda new: new["paths"].clear(), "POST /things/ is gone."),
    "operation": (lambda new: new["paths"]["/things/"].pop("get"), "GET /things/ is gone."),
    "its name": (lambda new: _post(new).update(operationId="create"), "called create, not make"),
    "parameter": (lambda new: _post(new).pop("parameters"), "the query parameter dry is gone"),
    "parameter needed": (lambda new: _post(new)["parameters"][0].update(required=True), "dry has to be sent now"),
    "new parameter needed": (
        lambda new: _post(new)["parameters"].append({"in": "query", "name": "why", "required": True}),
        "the new query parameter why has to be sent",
    ),
    "parameter narrower": (
        lambda new: _post(new)["parameters"][0]["schema"].update(enum=[True]), "dry has to be one of True now",
    ),
    "body needed": (lambda new: _post(new)["requestBody"].update(required=True), "a body has to be sent now"),
    "body's kind": (lambda new: _post(new)["requestBody"]["content"].pop("text/plain"), "text/plain is not taken"),
    "member of the body": (lambda new: _sent(new)["properties"].pop("count"), "may not have the member count"),
    "new member needed": (lambda new: _need(_sent(new), "why", {"type": "string"}), "the new member why"),
    "member needed": (lambda new: _sent(new)["required"].append("count"), "the member count of the body has to be"),
    "type of what is sent": (
        lambda new: _sent(new)["properties"]["count"].update(type="integer"), "count may not be null any more",
    ),
    "longest": (lambda new: _sent(new)["properties"]["name"].update(maxLength=10), "tighter maxLength: 10, not 20"),
    "least": (lambda new: _sent(new)["properties"]["count"].update(minimum=1), "tighter minimum: 1, not 0"),
    "pattern": (lambda new: _sent(new)["properties"]["name"].update(pattern="^a"), "another pattern: ^a, not any"),
    "choice": (
        lambda new: new["components"]["schemas"]["State"]["enum"].remove("open"), "state may not be open any more",
    ),
    "choice in answers": (
        lambda new: new["components"]["schemas"]["State"]["enum"].remove("open"), "state is never open any more",
    ),
    "status": (lambda new: _post(new)["responses"].pop("400"), "there is no answer 400 any more"),
    "header": (lambda new: _post(new)["responses"]["201"]["headers"].clear(), "has no header ETag any more"),
    "member of the answer": (lambda new: _thing(new)["properties"].pop("name"), "has no member name any more"),
    "member that can lack": (lambda new: _thing(new)["required"].remove("id"), "can lack the member id now"),
    "type of what is told": (
        lambda new: _thing(new)["properties"]["id"].update(type="string"), "id can be string now, not only integer",
    ),
    "null": (
        lambda new: _thing(new)["properties"]["id"].update(type=["integer", "null"]), "id can be null now",
    ),
    "inside of what may be null": (
        lambda new: _thing(new)["properties"].update(parent={"type": "null"}), "parent has no member id any more",
    ),
    "inside of a list": (
        lambda new: _thing(new)["properties"]["marks"]["items"]["properties"].pop("x"), "has no member x any more",
    ),
    "format": (lambda new: _thing(new)["properties"]["at"].update(format="date"), "has the format date, not date-time"),
    "choice dropped": (
        lambda new: _thing(new)["properties"]["state"].update(allOf=[], type="string"), "but anything",
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", BREAKS)
def test_what_breaks_is_said(rule: str) -> None:
    change, words = BREAKS[rule]
    new = copy.deepcopy(schema())
    change(new)
    found = breaking(schema(), new)
    assert any(words in sentence for sentence in found), found


ADDS: dict[str, Callable[[Schema], Any]] = {
    "nothing": lambda new: None,
    "path": lambda new: new["paths"].update({"/more/": {"get": {"operationId": "more", "responses": {}}}}),
    "operation": lambda new: new["paths"]["/things/"].update(delete={"operationId": "drop", "responses": {}}),
    "parameter": lambda new: _post(new)["parameters"].append({"in": "query", "name": "why", "schema": {}}),
    "member of the body": lambda new: _sent(new)["properties"].update(why={"type": "string"}),
    "member of the answer": lambda new: _need(_thing(new), "why", {"type": "string"}),
    "choice": lambda new: new["components"]["schemas"]["State"]["enum"].append("lost"),
    "looser bound": lambda new: _sent(new)["properties"]["name"].update(maxLength=40),
    "no bound": lambda new: _sent(new)["properties"]["count"].pop("minimum"),
    "member no more needed": lambda new: _sent(new)["required"].remove("name"),
    "status": lambda new: _post(new)["responses"].update({"409": {}}),
    "narrower answer": lambda new: _thing(new)["properties"]["name"].update(type="string"),
    "number for integer": lambda new: _sent(new)["properties"]["count"].update(type=["number", "null"]),
    "words": lambda new: _thing(new)["properties"]["id"].update(description="Its number."),
    "written otherwise": lambda new: _thing(new)["properties"].update(
        state={"$ref": "#/components/schemas/State"}, name={"anyOf": [{"type": "null"}, {"type": "string"}]}
    ),
}


@pytest.mark.parametrize("addition", ADDS)
def test_what_is_added_breaks_nothing(addition: str) -> None:
    new = copy.deepcopy(schema())
    ADDS[addition](new)
    assert breaking(schema(), new) == []


def test_the_present_api_is_the_accepted_one() -> None:
    call_command("api_contract")


def test_the_command_refuses_accepts_and_breaks_on_purpose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    accepted = tmp_path / "openapi.json"
    monkeypatch.setattr(api_contract, "ACCEPTED", accepted)
    with pytest.raises(CommandError, match="something new"):
        call_command("api_contract")
    call_command("api_contract", accept=True)
    call_command("api_contract")
    relied_on = json.loads(accepted.read_text())
    relied_on["paths"]["/api/v1/gone/"] = {"get": {"operationId": "gone", "responses": {}}}
    accepted.write_text(json.dumps(relied_on))
    for more in ({}, {"accept": True}):
        with pytest.raises(CommandError, match="GET /api/v1/gone/ is gone"):
            call_command("api_contract", **more)
    call_command("api_contract", accept=True, on_purpose=True)
    call_command("api_contract")
