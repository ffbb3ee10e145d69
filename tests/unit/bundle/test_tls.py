"""Each way in which a secure connection fails has its words, however deep libraries wrap it."""

import ssl

import pytest
import requests
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import MaxRetryError, SSLError

from stakewatch.bundle.tls import tls_failure


def not_verified(code: int, said: str = "as OpenSSL says") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    error.verify_message = said
    return error


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (2, "of an authority that this machine does not know"),
        (9, "not valid yet"),
        (10, "has expired"),
        (18, "signed by itself"),
        (19, "of an authority that this machine does not know"),
        (20, "of an authority that this machine does not know"),
        (21, "of an authority that this machine does not know"),
        (62, "for another host: as OpenSSL says"),
        (64, "for another host: as OpenSSL says"),
        (66, "is not accepted: as OpenSSL says"),
    ],
)
def test_each_result_of_a_verification_has_its_words(code: int, said: str) -> None:
    what, mend = tls_failure(not_verified(code), variable="THE_AUTHORITIES")
    assert what.startswith("its certificate ")
    assert said in what
    assert mend
    assert ("THE_AUTHORITIES" in mend) is (code not in {9, 10, 62, 64})


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("WRONG_VERSION_NUMBER", "speaks no TLS"),
        ("HTTP_REQUEST", "speaks no TLS"),
        ("UNSUPPORTED_PROTOCOL", "no version of TLS in common"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a certificate of ours"),
        ("SOMETHING_\x1bELSE", "no secure connection: SOMETHING_?ELSE"),
    ],
)
def test_each_reason_has_its_words(reason: str, said: str) -> None:
    assert said in tls_failure(failed(reason), variable="V")[0]


def test_an_error_without_a_reason_says_no_more_than_it_knows() -> None:
    for error in (ssl.SSLError(), ValueError("http://me:password@proxy")):
        assert tls_failure(error, variable="V")[0] == "no secure connection"


def test_a_verification_that_python_made_is_told_in_its_own_words() -> None:
    made = ssl.SSLCertVerificationError("host is not in its list")
    what, mend = tls_failure(made, variable="V")
    assert what == "its certificate is not accepted: host is not in its list"
    assert "V" in mend


def test_what_libraries_wrap_is_found() -> None:
    inner = MaxRetryError(HTTPConnectionPool("x"), "/", SSLError(not_verified(10)))
    assert "has expired" in tls_failure(requests.exceptions.SSLError(inner), variable="V")[0]
    outer = RuntimeError("again")
    outer.__cause__ = failed("HTTP_REQUEST")
    outer.__cause__.__context__ = outer
    assert "speaks no TLS" in tls_failure(outer, variable="V")[0]
