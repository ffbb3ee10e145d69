"""A secure connection that does not come about is told in plain words, by requests and by boto3."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stakewatch.publishing.aws import Access, Patience, Service, UnusableAwsError, client, open_session
from stakewatch.publishing.json_api import JsonApi, UnusableApiError
from stakewatch.publishing.pace import Pace
from tests.unit.publishing.aws_server import REGION, environment
from tests.unit.publishing.loopback import listening

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SANS = {"loopback": x509.IPAddress(ip_address("127.0.0.1")), "another": x509.DNSName("grafana.example")}


class Authority:
    """An authority of somebody's own, and the certificates that it makes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Somebody's")])
        builder = self._builder(self._name, self._name, self._key, NOW - DAY, NOW + DAY)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        made = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.file = folder / "authority.pem"
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def certificate(
        self, *, host: str = "loopback", days: int = 1, from_days: int = -1, own: bool = False
    ) -> Path:
        """Return a file with key and certificate; `own` is one that is signed by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        issuer, signing = (name, key) if own else (self._name, self._key)
        builder = self._builder(name, issuer, key, NOW + from_days * DAY, NOW + days * DAY)
        names = x509.SubjectAlternativeName([SANS[host]])
        made = builder.add_extension(names, critical=False).sign(signing, hashes.SHA256())
        path = self._folder / "server.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        return path

    @staticmethod
    def _builder(
        name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=issuer,
            subject_name=name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=begin,
            not_valid_after=end,
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Handler(BaseHTTPRequestHandler):
    """Answers with an empty object."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent."""


@contextmanager
def serving(certificate: Path) -> Iterator[str]:
    """Serve over TLS with this certificate; gives the url."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(Handler, context) as url:
        yield url


@pytest.mark.parametrize(
    ("options", "trusted", "said", "mend"),
    [
        ({}, False, "of an authority that this machine does not know", "set REQUESTS_CA_BUNDLE to a file"),
        ({"own": True}, False, "its certificate is signed by itself", "if you trust it"),
        ({"days": 0, "from_days": -2}, True, "its certificate has expired", "renew it"),
        ({"days": 3, "from_days": 2}, True, "its certificate is not valid yet", "clock"),
        ({"host": "another"}, True, "its certificate is for another host", "write the name"),
    ],
)
def test_a_certificate_that_is_not_accepted_is_told_in_plain_words(
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, int],
    said: str,
    mend: str,
    *,
    trusted: bool,
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    with serving(authority.certificate(**options)) as url:  # type: ignore[arg-type] # of any type
        api = JsonApi(url, attempts=1)
        with pytest.raises(UnusableApiError) as raised:
            api.ask("GET", "/api")
        api.close()
    assert said in raised.value.what
    assert mend in str(raised.value.mend)
    assert raised.value.where == f"GET {url}/api"
    assert len(str(raised.value).splitlines()) == 2


def test_an_authority_of_one_s_own_is_trusted_when_it_is_named(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    with serving(authority.certificate()) as url:
        api = JsonApi(url, attempts=1)
        assert api.ask("GET", "/api") == {}
        api.close()


def test_aws_behind_a_proxy_with_an_authority_of_its_own_is_told_the_same(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with serving(authority.certificate()) as url:
        for name, value in environment("AWS_ENDPOINT_URL", url).items():
            monkeypatch.setenv(name, value)
        session = open_session(Access(REGION), "here")
        service = Service(client(session, "amp", workers=1), where="here", pace=Pace(10), patience=Patience())
        with pytest.raises(UnusableAwsError, match="an authority that this machine does not know") as raised:
            service.ask("describe_workspace", workspaceId="ws-1")
        service.close()
    assert "set AWS_CA_BUNDLE to a file" in str(raised.value.mend)
