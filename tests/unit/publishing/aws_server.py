"""What our fakes of AWS services share: whose credentials hold, and how answers and refusals are sent."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from botocore.credentials import Credentials

REGION = "eu-west-1"
CREDENTIALS = Credentials("AKIDEXAMPLE", "an-example-secret", "an-example-token")


@dataclass(frozen=True)
class Reply:
    """What a fake answers instead of doing what it is asked."""

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """The connection breaks: before the request is heard, or `after` it was carried out."""

    after: bool


class AwsHandler(BaseHTTPRequestHandler, ABC):
    """Reads requests and sends what `respond`, which a fake defines, makes of them."""

    protocol_version = "HTTP/1.1"
    # One write for head and body: else each answer waits for the acknowledgement of its head.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer one request, of whatever method."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # Who asked was killed between head and body: no server acts on that.
            self.close_connection = True
            return
        answer = self.respond(body)
        if isinstance(answer, Cut):
            self.close_connection = True
        elif isinstance(answer, Reply):
            self._refuse(answer)
        else:
            status, content = answer
            self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of the base class

    @abstractmethod
    def respond(self, body: bytes) -> tuple[int, dict[str, Any]] | Reply | Cut:
        """Return what becomes of the request at hand."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature of the base class
        """Say nothing."""

    def _refuse(self, reply: Reply) -> None:
        if reply.page:
            self._send(reply.status, reply.page.encode(), {"Content-Type": "text/html", **reply.headers})
            return
        content = {"__type": reply.code, "message": reply.message, **reply.more}
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": reply.code, **reply.headers}
        self._send(reply.status, json.dumps(content).encode(), headers)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def environment(variable: str, url: str) -> Mapping[str, str]:
    """Return the environment in which boto3 finds a fake at `url`, and the credentials that hold there."""
    return {
        variable: url,
        "AWS_ACCESS_KEY_ID": CREDENTIALS.access_key,
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS.secret_key,
        "AWS_SESSION_TOKEN": CREDENTIALS.token,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
