"""The metrics of docs/report.schema.json, from the table of metrics: `python tests/report_schema.py` writes them."""

import json
from pathlib import Path

from vit_train.metrics import METRICS, Metric, Part

OWN = {
    "description": "metrics of plugins by their names; null where one is not finite",
    "type": "object",
    "additionalProperties": {"type": ["number", "null"]},
}
PATH = Path(__file__).resolve().parents[1] / "docs" / "report.schema.json"


def with_metrics(schema: dict) -> dict:
    """The schema with the metrics of its sections "validation" and "test" as the table has them."""
    parts: tuple[Part, ...] = ("validation", "test")
    sections = {part: schema["properties"][part] | _section(part) for part in parts}
    return schema | {"properties": schema["properties"] | sections}


def _section(part: Part) -> dict:
    properties, required = {}, []
    for metric in METRICS:
        if part in metric.parts:
            own = {metric.column: _value(metric)}
            if metric.interval and part == "test":
                interval = {"$ref": "#/$defs/interval"}
                own[f"{metric.column}_interval"] = (
                    {"anyOf": [interval, {"type": "null"}]} if metric.nullable else interval
                )
            properties |= own
            required += [] if metric.optional else list(own)
    return {"required": required, "properties": properties | {"own": OWN}}


def _value(metric: Metric) -> dict:
    meaning = {"description": metric.meaning} if metric.meaning else {}
    limits = {"minimum": 0} | ({} if metric.maximum is None else {"maximum": metric.maximum})
    return meaning | {"type": ["number", "null"] if metric.nullable or metric.optional else "number"} | limits


if __name__ == "__main__":
    PATH.write_text(json.dumps(with_metrics(json.loads(PATH.read_text())), indent=2) + "\n")
