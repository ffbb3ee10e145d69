"""Access to a workspace of Amazon's managed Prometheus, whose requests their sender signs.

Source: Signature Version 4 of the AWS General Reference; the service is called `aps`.
"""

from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from requests.auth import AuthBase

_SERVICE = "aps"


class Signature(AuthBase):
    """Signs a request with the credentials that a session of botocore or boto3 has at this moment."""

    def __init__(self, session: Any, region: str) -> None:  # noqa: ANN401 - both have no types
        self._session = session
        self._region = region

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the headers of the signature; the session's token is one of them."""
        # Amazon reads a plus sign as itself, requests writes blanks as one.
        request.url = (request.url or "").replace("+", "%20")
        unsigned = AWSRequest(method=request.method, url=request.url, data=request.body or b"")
        credentials = self._session.get_credentials().get_frozen_credentials()
        SigV4Auth(credentials, _SERVICE, self._region).add_auth(unsigned)
        request.headers.update(dict(unsigned.headers.items()))
        return request
