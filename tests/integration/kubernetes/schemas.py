"""JSON Schemas of Kubernetes' kinds for kubeconform: of the built-in ones from the client's models.

The client's models are made from the API's own description: each knows its fields, their types, and which it
refuses to be without. Kinds of the Prometheus operator are small extracts of its API reference
(https://prometheus-operator.dev/docs/api-reference/api/, v0.93): the fields that we use, and no other.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kubernetes import client

# Models of the built-in kinds that are written, by API version and kind.
BUILT_IN = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "PersistentVolumeClaim"): "V1PersistentVolumeClaim",
    ("v1", "Service"): "V1Service",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("apps/v1", "DaemonSet"): "V1DaemonSet",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("apps/v1", "StatefulSet"): "V1StatefulSet",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): "V1ClusterRole",
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): "V1ClusterRoleBinding",
    ("storage.k8s.io/v1", "StorageClass"): "V1StorageClass",
}
_PLAIN = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string"},
    "datetime": {"type": "string"},
    "date": {"type": "string"},
    # IntOrString, and the few parts that are any object.
    "object": {},
}
_DURATION = {
    "type": "string",
    "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
_WORDS = {"type": "array", "items": {"type": "string"}}


def _closed(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": dict(properties),
    }


_RELABELLING = _closed(
    {
        "sourceLabels": _WORDS,
        "separator": {"type": "string"},
        "targetLabel": {"type": "string"},
        "regex": {"type": "string"},
        "modulus": {"type": "integer"},
        "replacement": {"type": "string"},
        "action": {
            "enum": [
                "replace",
                "keep",
                "drop",
                "hashmod",
                "labelmap",
                "labeldrop",
                "labelkeep",
                "lowercase",
                "uppercase",
                "keepequal",
                "dropequal",
            ]
        },
    }
)
_ENDPOINT = _closed(
    {
        "port": {"type": "string"},
        "path": {"type": "string"},
        "scheme": {"enum": ["http", "https"]},
        "interval": _DURATION,
        "scrapeTimeout": _DURATION,
        "honorLabels": {"type": "boolean"},
        "relabelings": {"type": "array", "items": _RELABELLING},
        "metricRelabelings": {"type": "array", "items": _RELABELLING},
    }
)
_SELECTOR = _closed(
    {
        "matchLabels": _TEXTS,
        "matchExpressions": {
            "type": "array",
            "items": _closed(
                {
                    "key": {"type": "string"},
                    "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                    "values": _WORDS,
                },
                "key",
                "operator",
            ),
        },
    }
)
_NAMESPACES = _closed({"any": {"type": "boolean"}, "matchNames": _WORDS})
_RULE = _closed(
    {
        "alert": {"type": "string"},
        "record": {"type": "string"},
        "expr": {"type": ["string", "integer"]},
        "for": _DURATION,
        "keep_firing_for": {**_DURATION, "minLength": 1},
        "labels": _TEXTS,
        "annotations": _TEXTS,
    },
    "expr",
)
_GROUP = _closed(
    {
        "name": {"type": "string", "minLength": 1},
        "interval": _DURATION,
        "limit": {"type": "integer"},
        "query_offset": _DURATION,
        "labels": _TEXTS,
        "partial_response_strategy": {"type": "string"},
        "rules": {"type": "array", "items": _RULE},
    },
    "name",
)
_OF_THE_OPERATOR = {
    "PrometheusRule": _closed({"groups": {"type": "array", "items": _GROUP}}),
    "PodMonitor": _closed(
        {
            "selector": _SELECTOR,
            "namespaceSelector": _NAMESPACES,
            "podMetricsEndpoints": {"type": "array", "items": _ENDPOINT},
        },
        "selector",
    ),
    "ServiceMonitor": _closed(
        {
            "selector": _SELECTOR,
            "namespaceSelector": _NAMESPACES,
            "endpoints": {"type": "array", "items": _ENDPOINT},
        },
        "selector",
        "endpoints",
    ),
}


def write_schemas(folder: Path) -> str:
    """Write a schema per kind into `folder`; return the `-schema-location` that finds them."""
    for (api_version, kind), model in BUILT_IN.items():
        schema = _of_model(model, api_version, kind)
        (folder / f"{_file_name(api_version, kind)}").write_text(json.dumps(schema), encoding="utf-8")
    for kind, spec in _OF_THE_OPERATOR.items():
        schema = _with_header("monitoring.coreos.com/v1", kind, {"spec": spec}, ["spec"])
        (folder / _file_name("monitoring.coreos.com/v1", kind)).write_text(
            json.dumps({**schema, "definitions": dict(_definitions("V1ObjectMeta"))}), encoding="utf-8"
        )
    return str(folder / "{{ .ResourceKind }}{{ .KindSuffix }}.json")


def _file_name(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    return "-".join(part for part in (kind.lower(), group.split(".")[0], version) if part) + ".json"


def _of_model(model: str, api_version: str, kind: str) -> dict[str, Any]:
    definitions = dict(_definitions(model))
    own = definitions[model]
    schema = _with_header(api_version, kind, own["properties"], own["required"])
    return {**schema, "definitions": definitions}


def _with_header(
    api_version: str, kind: str, properties: Mapping[str, Any], required: list[str]
) -> dict[str, Any]:
    header = {
        "apiVersion": {"const": api_version},
        "kind": {"const": kind},
        "metadata": {"$ref": "#/definitions/V1ObjectMeta"},
    }
    schema = _closed({**properties, **header}, "apiVersion", "kind", "metadata", *required)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def _definitions(model: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schema of a model and of all models that it is made of."""
    waiting, seen = [model], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        kind = getattr(client, name)
        required = [field for field, about in kind.model_fields.items() if about.is_required()]
        properties = {
            kind.attribute_map[field]: _of_type(text, waiting) for field, text in kind.openapi_types.items()
        }
        yield name, _closed(properties, *(kind.attribute_map[field] for field in required))


def _of_type(text: str, waiting: list[str]) -> dict[str, Any]:
    """Return the schema of a type as the client writes it, such as `Dict[str, List[V1Volume]]`."""
    if text in _PLAIN:
        return dict(_PLAIN[text])
    if found := re.fullmatch(r"[Ll]ist\[(.+)\]", text):
        return {"type": "array", "items": _of_type(found[1], waiting)}
    if found := re.fullmatch(r"[Dd]ict[\[(]str, (.+)[\])]", text):
        return {"type": "object", "additionalProperties": _of_type(found[1], waiting)}
    waiting.append(text)
    return {"$ref": f"#/definitions/{text}"}
