"""The model as JSON schema (2020-12), for editors and for Helm, with defaults as people write them.

A section whose settings all have defaults may also be empty: `site:` with everything below it commented out means the defaults, to us and to the schema.
"""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from elabs.config.model import Config
from elabs.config.units import format_duration, write_bytes

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Titles only where the model says what kind of value something is, never one made of the setting's name."""

    schema_dialect = DIALECT

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        found = super().default_schema(schema)
        default = found.get("default")
        if found.get("title") == "duration" and isinstance(default, int):
            found["default"] = format_duration(default)
        elif found.get("title") == "size in bytes" and isinstance(default, int):
            found["default"] = write_bytes(default)
        elif "default" in found and (default is None or (isinstance(default, dict) and default)):
            # The defaults of a section stand at its settings, and no value is what leaving a setting out means anyway.
            del found["default"]
        return found


def schema() -> dict[str, Any]:
    """The JSON schema of `elabs.yaml`. The settings' order is the model's."""
    made = Config.model_json_schema(mode="validation", schema_generator=_Generator)
    for part in (made, *made["$defs"].values()):
        for name, setting in part["properties"].items():
            if "description" in setting:
                setting["description"] = " ".join(setting["description"].split())
            target = made["$defs"].get(setting.get("$ref", "").removeprefix("#/$defs/"))
            if target and not target.get("required"):
                described = {"description": setting.pop("description")} if "description" in setting else {}
                part["properties"][name] = {"anyOf": [setting, {"type": "null"}], **described}
            if pattern := setting.get("patternProperties"):
                ((names, entry),) = pattern.items()
                del setting["patternProperties"]
                setting |= {"propertyNames": {"pattern": names}, "additionalProperties": entry}
    return {"$schema": DIALECT, "title": "elabs.yaml", **{key: value for key, value in made.items() if key != "title"}}
