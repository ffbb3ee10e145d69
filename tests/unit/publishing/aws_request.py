"""Requests to AWS, checked as AWS would: against botocore's model of the service, and their signature."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"SignedHeaders=(?P<headers>[^,]+), Signature=(?P<signature>[0-9a-f]{64})"
)


class NotARequestError(AssertionError):
    """A request that the service's model does not know: a mistake of ours, not one of a user."""


@dataclass(frozen=True)
class Request:
    """One operation as it was asked for, its parameters decoded."""

    operation: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """One HTTP request as it arrived; `url` with scheme and host."""

    method: str
    url: str
    headers: Message
    body: bytes


@cache
def service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def read_request(service: str, sent: Sent) -> Request:
    """Return the operation that a request asks for. Raises NotARequestError for what its model forbids."""
    model = service_model(service)
    if model.metadata["protocol"] == "json":
        name = sent.headers.get("X-Amz-Target", "").rpartition(".")[2]
        operation = model.operation_model(name)
        parameters = json.loads(sent.body)
    else:
        operation, parameters = _rest(model, sent)
    _validate(parameters, operation)
    return Request(operation.name, parameters)


def signing_fault(sent: Sent, credentials: Credentials, scope: str) -> str:
    """Return what is wrong with a request's signature, empty when nothing is; `scope` is `REGION/SERVICE`.

    The signature is computed anew by botocore from what arrived.
    """
    headers = sent.headers
    found = _AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
    if found is None:
        return "no signature"
    if f"{found['region']}/{found['service']}" != scope:
        return f"signed for {found['region']}/{found['service']}, not {scope}"
    if credentials.token != headers.get("X-Amz-Security-Token"):
        return "another session's token"
    signed = {name: headers.get(name, "") for name in found["headers"].split(";")}
    if "host" not in signed:
        return "the host is not signed"
    again = AWSRequest(method=sent.method, url=sent.url, data=sent.body, headers=signed)
    again.context["timestamp"] = headers.get("X-Amz-Date", "")
    region, _, service = scope.partition("/")
    signer = SigV4Auth(credentials, service, region)
    text = signer.string_to_sign(again, signer.canonical_request(again))
    return "" if signer.signature(text, again) == found["signature"] else "another signature"


def _rest(model: ServiceModel, sent: Sent) -> tuple[OperationModel, dict[str, Any]]:
    parts = urlsplit(sent.url)
    for name in model.operation_names:
        operation = model.operation_model(name)
        found = _uri(operation).fullmatch(parts.path)
        if operation.http["method"] == sent.method and found:
            return operation, _members(operation, found.groupdict(), parts.query, sent.body)
    raise NotARequestError(f"{sent.method} {parts.path} is no operation")


@cache
def _uri(operation: OperationModel) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\+?\}", operation.http["requestUri"].partition("?")[0])
    return re.compile(
        "".join(
            f"(?P<{piece}>[^/]+)" if number % 2 else re.escape(piece) for number, piece in enumerate(pieces)
        )
    )


def _members(operation: OperationModel, uri: Mapping[str, str], query: str, body: bytes) -> dict[str, Any]:
    shape = operation.input_shape
    given: dict[str, Any] = json.loads(body) if body else {}
    asked = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    parameters: dict[str, Any] = {}
    for name, member in shape.members.items():
        place, called = member.serialization.get("location"), member.serialization.get("name", name)
        if place == "uri":
            parameters[name] = unquote(uri[called])
        elif place == "querystring":
            if called in asked:
                text = asked.pop(called)
                parameters[name] = int(text) if member.type_name == "integer" else text
        elif called in given:
            value = given.pop(called)
            parameters[name] = base64.b64decode(value, validate=True) if member.type_name == "blob" else value
    if given or asked:
        raise NotARequestError(f"{operation.name} knows no {sorted(given) + sorted(asked)}")
    return parameters


def _validate(parameters: dict[str, Any], operation: OperationModel) -> None:
    report = ParamValidator().validate(parameters, operation.input_shape)
    if report.has_errors():
        raise NotARequestError(f"{operation.name}: {report.generate_report()}")
    for name, value in parameters.items():
        member = operation.input_shape.members.get(name)
        if member is None:
            raise NotARequestError(f"{operation.name} knows no {name}")
        _bounded(f"{operation.name}.{name}", value, member)


def _bounded(where: str, value: object, shape: Shape) -> None:
    """Check what botocore leaves to the service: patterns and greatest lengths."""
    if isinstance(value, str):
        pattern = shape.metadata.get("pattern")
        if pattern and not pattern.startswith("([\\p{") and not re.fullmatch(pattern, value):
            raise NotARequestError(f"{where} is {value!r}")
        if len(value) > shape.metadata.get("max", len(value)):
            raise NotARequestError(f"{where} is too long")
    if isinstance(value, dict) and shape.type_name == "map":
        if len(value) > shape.metadata.get("max", len(value)):
            raise NotARequestError(f"{where} has too many entries")
        for key, one in value.items():
            _bounded(f"{where} key", key, shape.key)
            _bounded(f"{where}.{key}", one, shape.value)
