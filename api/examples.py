"""Examples for the OpenAPI document: of requests as people write them, of answers as their schemas have them."""

from collections.abc import Mapping
from typing import Any

from api.words import OWN, WORDS

Json = dict[str, Any]

_REF_PREFIX = "#/components/schemas/"
_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}

REQUESTS: dict[str, dict[str, Json]] = {
    "RegisterRequest": {
        "a person": {"email": "asha@example.in", "name": "Asha Rao", "password": "monsoon over the western ghats"}
    },
    "LoginRequest": {"a person": {"email": "asha@example.in", "password": "monsoon over the western ghats"}},
    "TradeRequest": {
        "at the market": {"symbol": "RELIANCE", "side": "BUY", "quantity": 10},
        "at a limit": {
            "symbol": "RELIANCE",
            "side": "BUY",
            "quantity": 10,
            "order_type": "LIMIT",
            "limit_price": "2850.00",
            "product": "CNC",
        },
        "with a stop and a target": {
            "symbol": "RELIANCE",
            "side": "BUY",
            "quantity": 10,
            "stop_loss": "2800.00",
            "target": "2900.50",
        },
        "with a stop that trails": {
            "symbol": "RELIANCE",
            "side": "BUY",
            "quantity": 10,
            "stop_loss": "2800.00",
            "trailing": {"distance": "15.00", "step": "2.00"},
        },
    },
    "BasketRequest": {
        "two legs, one after the other": {
            "policy": "stop",
            "legs": [
                {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "rank": 0},
                {"symbol": "RELIANCE", "side": "BUY", "quantity": 5, "rank": 1},
            ],
        }
    },
    "TradeChangeRequest": {
        "another stop": {"expected_version": 1, "stop_loss": "2810.00"},
        "no target any more": {"expected_version": 1, "target": None},
    },
    "TradeCloseRequest": {"all of it": {}, "a part": {"quantity": 4}},
    "PositionCloseRequest": {
        "every trade in it": {},
        "one strategy's": {"strategy_id": WORDS["strategy_id"].example},
    },
    "CloseAllRequest": {
        "all that the account holds": {"scope": "account"},
        "what came from outside as well": {"scope": "account", "includes_external": True},
    },
    "KillSwitchRequest": {
        "no entries": {"reason": "a look at the news"},
        "no entries, and out of everything": {"reason": "enough for today", "mode": "flatten"},
    },
    "ResolveRequest": {
        "the broker does not have it": {"resolution": "absent", "reason": "the broker's app does not show it"},
        "the broker has it": {
            "resolution": "at_broker",
            "venue_order_id": WORDS["venue_order_id"].example,
            "reason": "the broker's app shows it under this number",
        },
    },
    "ResolveDifferenceRequest": {
        "at the last price": {"reason": "ten shares came in by a transfer from another broker"},
        "at a price": {"reason": "it was settled at this price", "price": "2850.05"},
    },
    "BreachReleaseRequest": {"a reason": {"reason": "a split that was not adjusted"}},
    "CashMovementRequest": {
        "money that came in": {"amount": "50000.00", "reason": "from the bank"},
        "money that went out": {"amount": "-12500.50", "reason": "to the bank"},
    },
}
"""By the type of the body. Of types that are not here, an example with what is mandatory is made."""


def complete(schemas: Mapping[str, Json]) -> None:
    """Say of every field in *schemas* what it means, with an example, and give every object an example."""
    for name, schema in schemas.items():
        for field, described in schema.get("properties", {}).items():
            word = OWN.get(f"{name}.{field}") or WORDS.get(field)
            if word is None:
                continue
            described.setdefault("description", word.meaning)
            if _is_scalar(described, schemas) and "examples" not in described:
                described["examples"] = [_value(name, field, described, schemas)]
    for name, schema in schemas.items():
        if "properties" in schema:
            schema["examples"] = list(REQUESTS.get(name, {"made": example_of(name, schemas)}).values())


def example_of(name: str, schemas: Mapping[str, Json]) -> Any:
    """Return an example of the type *name*: of a request what is mandatory, else all of it."""
    schema = schemas[name]
    if "enum" in schema:
        return schema["enum"][0]
    is_request = schema.get("additionalProperties") is False
    fields = schema.get("required", []) if is_request else schema.get("properties", {})
    return {field: _value(name, field, schema["properties"][field], schemas) for field in fields}


def _value(name: str, field: str, described: Json, schemas: Mapping[str, Json]) -> Any:
    word = OWN.get(f"{name}.{field}") or WORDS.get(field)
    if word is not None and word.example is not None and _fits(word.example, described, schemas):
        return word.example
    if word is not None and _is_nullable(described):
        return None
    return _made(described, schemas)


def _made(described: Json, schemas: Mapping[str, Json]) -> Any:  # noqa: PLR0911 - one return per shape
    if "examples" in described:
        return described["examples"][0]
    if "default" in described:
        return described["default"]
    if "$ref" in described:
        return example_of(described["$ref"].removeprefix(_REF_PREFIX), schemas)
    if "enum" in described:
        return described["enum"][0]
    if "anyOf" in described:
        return _made(described["anyOf"][0], schemas)
    match described.get("type"):
        case "array":
            return [_made(described["items"], schemas)] if "items" in described else []
        case "integer":
            return described.get("minimum", 0)
        case "boolean":
            return False
        case "object":
            return {}
        case _:
            return "text"


def _fits(value: Any, described: Json, schemas: Mapping[str, Json]) -> bool:
    """Tell whether *value* may stand there, by its kind and the words that are allowed."""
    if "anyOf" in described:
        return any(_fits(value, each, schemas) for each in described["anyOf"])
    if "$ref" in described:
        return _fits(value, schemas[described["$ref"].removeprefix(_REF_PREFIX)], schemas)
    if "enum" in described:
        return value in described["enum"]
    kinds = _KINDS.get(described.get("type", ""), ())
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


def _is_nullable(described: Json) -> bool:
    return any(each.get("type") == "null" for each in described.get("anyOf", []))


def _is_scalar(described: Json, schemas: Mapping[str, Json]) -> bool:
    if "anyOf" in described:
        return all(_is_scalar(each, schemas) for each in described["anyOf"])
    if "$ref" in described:
        return "enum" in schemas[described["$ref"].removeprefix(_REF_PREFIX)]
    return described.get("type") in {"string", "integer", "number", "boolean", "null"}
