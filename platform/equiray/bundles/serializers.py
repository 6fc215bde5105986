"""``serializer.json``: a fitted serializer as a document, the task's schema in it, so that rows read as in training."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from equiray.data.schema import Schema
from equiray.data.text import CountTokens, Dropped, Serializer
from equiray.errors import BadInput, reading_back

SCHEMA = "equiray.serializer/1"
_TASK = TypeAdapter(Schema)


def serializer_document(serializer: Serializer) -> dict[str, Any]:
    """All of a serializer but the tokenizer, which is the base model's."""
    return {
        "schema": SCHEMA,
        "template": serializer.template,
        "order": list(serializer.order),
        "max_tokens": serializer.max_tokens,
        "base": serializer.base,
        "margin": serializer.margin,
        "dropped": [list(each) for each in serializer.dropped],
        "task": _TASK.dump_python(serializer.schema, mode="json"),
    }


def read_schema(file: Path) -> Schema:
    """The task that a serializer was fitted to; raises BadInput as `read_serializer`."""
    return read_serializer(file, lambda texts: [0] * len(texts)).schema


def read_serializer(file: Path, count_tokens: CountTokens) -> Serializer:
    """The serializer of a document.

    Raises
    ------
    BadInput
        No such document, or one that is cut short or of another schema.
    """
    fix = "bundle again, or copy the bundle again"
    with reading_back(file, fix=fix):
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise BadInput(f"schema {document['schema']!r} is not {SCHEMA}", place=str(file), fix=fix)
        return Serializer(
            schema=_TASK.validate_python(document["task"]),
            template=document["template"],
            order=tuple(document["order"]),
            max_tokens=document["max_tokens"],
            count_tokens=count_tokens,
            base=document["base"],
            margin=document["margin"],
            dropped=tuple(Dropped(*each) for each in document["dropped"]),
        )
