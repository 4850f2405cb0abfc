"""The examples in the API's document: put together from those of the fields, so that none is written down twice."""

from typing import Any

# Of what shows by its format what it looks like.
FORMATS = {
    "uuid": "5f0c6d4e-8a1b-4c2f-9d3a-1b2c3d4e5f60",
    "date-time": "2026-11-24T12:00:00Z",
    "date": "2026-11-24",
    "binary": "(the bytes of the file)",
}


class NoExample(Exception):
    """Give the field an example: `Field(examples=[…])`."""


def example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """An example of what this schema describes; `schemas` are those that it may refer to. Raises NoExample."""
    if "examples" in schema:
        return schema["examples"][0]
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {name: _of_field(name, one, schemas) for name, one in schema["properties"].items()}
    if "items" in schema:
        return [example_of(schema["items"], schemas)]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas)
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    if "default" in schema:
        return schema["default"]
    raise NoExample(NoExample.__doc__)


def _of_field(name: str, schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    try:
        return example_of(schema, schemas)
    except NoExample as error:
        raise NoExample(f"{name}: {error}") from None
