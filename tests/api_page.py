"""``docs/api.md`` from the service's own schema: ``python tests/api_page.py`` writes it anew."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from cyclorama.service.app import create_app
from cyclorama.service.settings import ServiceSettings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
HEAD = """# The HTTP API

Made from `GET /openapi.json` by `python tests/api_page.py`. How to start a server, and a first call:
[the service](service.md).

Every error is a [Problem](#problem) (RFC 9457) whose `type` ends in the error's class. Lists are
`{"items": […], "next": cursor}`; give the cursor as `after`. A POST that makes images takes an
`Idempotency-Key`: the same request again gets the first answer, for 24 hours.
"""


_UNTYPED = {"200": "a file", "201": "a file"}


def load_schema() -> dict[str, Any]:
    """What a server with the default settings says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(ServiceSettings(data=Path(folder)))
        schema: dict[str, Any] = app.openapi()
        app.state.service.store.close()
    return schema


def write_page(schema: dict[str, Any]) -> str:
    """The page of a schema."""
    parts, tags = [HEAD], dict[str, list[str]]()
    for path, acts in schema["paths"].items():
        for method, act in acts.items():
            tags.setdefault(act.get("tags", ["other"])[0], []).append(_write_route(method, path, act))
    for tag in sorted(tags):
        parts += [f"## {tag.capitalize()}\n", *tags[tag]]
    parts.append("## Shapes\n")
    for name, shape in sorted(schema["components"]["schemas"].items()):
        if name not in ("HTTPValidationError", "ValidationError"):
            parts.append(_write_shape(name, shape))
    return "\n".join(parts)


def _write_route(method: str, path: str, act: dict[str, Any]) -> str:
    lines = [f"### {method.upper()} {path}\n", _join(act.get("description", "")), ""]
    given = [p for p in act.get("parameters", ()) if p["in"] != "path"]
    if given:
        lines += ["| parameter | in | type |", "|---|---|---|"]
        lines += [f"| `{p['name']}` | {p['in']} | {_name_type(p['schema'])} |" for p in given]
        lines.append("")
    for kind, content in act.get("requestBody", {}).get("content", {}).items():
        lines.append(f"- Takes `{kind}`: {_name_type(content.get('schema', {}))}.")
    for status, answer in act["responses"].items():
        if status != "422":
            types = [
                f"`{kind}`" + (f" {_name_type(content['schema'])}" if content.get("schema") else "")
                for kind, content in answer.get("content", {}).items()
            ]
            lines.append(f"- Gives {status}: {', '.join(types) or _UNTYPED.get(status, 'nothing')}.")
    return "\n".join(lines) + "\n"


def _write_shape(name: str, shape: dict[str, Any]) -> str:
    lines = [f"### {name}\n", _join(shape.get("description", "")), ""]
    if shape.get("properties"):
        lines += ["| field | type | default | |", "|---|---|---|---|"]
        for field, value in shape["properties"].items():
            must = field in shape.get("required", ())
            default = "" if must or "default" not in value else f"`{_show(value['default'])}`"
            text = _join(value.get("description", "")).replace("|", "\\|")
            lines.append(f"| `{field}` | {_name_type(value)} | {default} | {text} |")
    return "\n".join(lines) + "\n"


def _name_type(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_name_type(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type", "any")
    if kind == "array" and "prefixItems" in schema:
        return "list of " + ", ".join(_name_type(one) for one in schema["prefixItems"])
    if kind == "array":
        return f"list of {_name_type(schema.get('items', {}))}"
    if kind == "object" and schema.get("properties"):
        return "fields " + ", ".join(f"`{name}`" for name in schema["properties"])
    if schema.get("format") in ("binary", "date-time"):
        kind = {"binary": "file", "date-time": "time"}[schema["format"]]
    low = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    high = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    return kind + ("" if low is None and high is None else f" ({_show(low, '…')} to {_show(high, '…')})")


def _show(value: Any, empty: str = "null") -> str:
    return empty if value is None else str(value)


def _join(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


if __name__ == "__main__":
    PAGE.write_text(write_page(load_schema()), encoding="utf-8")
