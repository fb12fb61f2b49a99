"""The JSON Schema of the deployment file: what it says of a field is true of the model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from fiveways.platform.model import Deployment
from fiveways.platform.schema import deployment_schema

SCHEMA = deployment_schema()


def models(annotation: Any, found: dict[str, type[BaseModel]]) -> dict[str, type[BaseModel]]:
    """Every model that a deployment is made of, by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known = found.setdefault(annotation.__name__, annotation)
        assert known is annotation, f"two models are called {annotation.__name__}"
        for field in annotation.model_fields.values():
            models(field.annotation, found)
    for argument in get_args(annotation):
        models(argument, found)
    return found


MODELS = models(Deployment, {})


def fields() -> Iterator[tuple[str, str, FieldInfo, dict[str, Any]]]:
    """Every field: its model, its key in the file, what it is, and what the schema says of it."""
    for name, model in MODELS.items():
        properties = SCHEMA["properties"] if model is Deployment else SCHEMA["$defs"][name]["properties"]
        for python_name, field in model.model_fields.items():
            key = field.alias or python_name
            yield name, key, field, properties[key]


def test_the_schema_has_every_model_and_no_other() -> None:
    assert set(SCHEMA["$defs"]) | {"Deployment"} == set(MODELS)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_field_and_every_model_is_described() -> None:
    """Editors show it where a person writes; where a model says the same of itself, it is said there only."""
    bare = [f"{model}.{key}" for model, key, field, _ in fields() if not field.description]
    bare += [f"{model}.{key}" for model, key, _, said in fields() if not said.get("description") and "$ref" not in said]
    assert bare == []
    assert [name for name, model in MODELS.items() if not model.__doc__] == []


@pytest.mark.parametrize(("model", "key", "field", "said"), [pytest.param(*each, id=f"{each[0]}.{each[1]}") for each in fields()])
def test_a_default_is_spelt_so_that_the_model_takes_it_back(model: str, key: str, field: FieldInfo, said: dict[str, Any]) -> None:
    if field.is_required():
        assert "default" not in said
        return
    default = field.get_default(call_default_factory=True)
    if "default" in said:
        kind: Any = Annotated[field.annotation, *(field.metadata or ["nothing more"])]
        assert TypeAdapter(kind).validate_python(said["default"]) == default
    else:
        assert field.default_factory is not None


def test_defaults_are_spelt_as_people_write_them() -> None:
    programme = SCHEMA["$defs"]["Programme"]["properties"]
    assert (programme["patience"]["default"], programme["availability"]["default"]) == ("3s", "99.9%")
    text = json.dumps(SCHEMA)
    assert not re.search(r'"default": "P(T|\d)', text), "ISO 8601 durations are not what the file has"
    assert '"format": ""' not in text


CHOICES = {
    "Listener", "DataModel", "ClientCertificate", "RoutingSettings", "OrderSettings",
    "Access", "Expectation", "Follow", "Listed", "QualitySettings", "Reach", "Rule", "Schedule", "Sink", "Who",
}  # fmt: skip
"""Models of which something must be chosen, though no one field is required."""


@pytest.mark.parametrize("name", sorted(set(MODELS) - CHOICES))
def test_a_model_of_defaults_reads_what_it_writes(name: str) -> None:
    model = MODELS[name]
    if any(field.is_required() for field in model.model_fields.values()):
        with pytest.raises(ValueError, match="Field required"):
            model()
        return
    made = model()
    assert model.model_validate_json(made.model_dump_json(by_alias=True)) == made


def test_what_a_pattern_says_is_what_examples_are() -> None:
    for model, key, _, said in fields():
        for each in (said, *said.get("anyOf", ())):
            if "pattern" in each:
                for example in each.get("examples", ()):
                    assert re.search(each["pattern"], str(example)), f"{model}.{key}: {example}"


def test_nothing_unknown_passes() -> None:
    assert all(definition.get("additionalProperties") is False for definition in SCHEMA["$defs"].values())
    assert SCHEMA["additionalProperties"] is False
