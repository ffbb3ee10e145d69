"""Why no secure connection came about, in plain words, and what a person can do about it.

Source: OpenSSL's verification results (x509_vfy.h) and the names of its errors, as Python's ssl shows them.
"""

import ssl
from collections.abc import Iterator

from stakewatch.bundle.problems import plain

_EXPIRED = (10,)
_NOT_YET = (9,)
_OTHER_NAME = (62, 64)
_SELF_SIGNED = (18,)
_UNKNOWN_AUTHORITY = (2, 19, 20, 21)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_NO_COMMON_VERSION = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE")
_WANTS_OURS = ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE")


def tls_failure(error: BaseException, *, variable: str) -> tuple[str, str]:
    """Return what went wrong with TLS, and the mend; `variable` names a file of authorities."""
    found = next((one for one in _inside(error) if isinstance(one, ssl.SSLError)), None)
    if isinstance(found, ssl.SSLCertVerificationError):
        return _certificate(found, variable)
    # One that Python raises, and not OpenSSL, has none of its attributes.
    reason = str(getattr(found, "reason", None) or "")
    if reason in _NO_TLS:
        return "what answers there speaks no TLS", "is it http:// there, or another port?"
    if reason in _NO_COMMON_VERSION:
        return "it and this machine have no version of TLS in common", "let it offer TLS 1.2 or later"
    if reason in _WANTS_OURS:
        return "it wants a certificate of ours", "ask it by an address that takes a token alone"
    # What libraries say of it may repeat the address of a proxy with its password.
    return (
        f"no secure connection: {plain(reason)}" if reason else "no secure connection",
        "does it serve https there, and does a proxy or firewall stand in between?",
    )


def _certificate(error: ssl.SSLCertVerificationError, variable: str) -> tuple[str, str]:
    code = getattr(error, "verify_code", 0)
    said = plain(getattr(error, "verify_message", None) or (error.args or ("no reason given",))[-1])
    if code in _EXPIRED:
        return "its certificate has expired", "let its owner renew it; is this machine's clock right?"
    if code in _NOT_YET:
        return "its certificate is not valid yet", "is this machine's clock right?"
    if code in _OTHER_NAME:
        return (
            f"its certificate is for another host: {said}",
            "write the name that its certificate is for; a proxy in between has a certificate of its own",
        )
    if code in _SELF_SIGNED:
        return (
            "its certificate is signed by itself",
            f"set {variable} to a file with this certificate, if you trust it",
        )
    if code in _UNKNOWN_AUTHORITY:
        return (
            "its certificate is of an authority that this machine does not know",
            f"set {variable} to a file with the authority's certificate: your company's, or that of a proxy",
        )
    return (
        f"its certificate is not accepted: {said}",
        f"let its owner renew it, or set {variable} to a file with its authority's certificate",
    )


def _inside(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it wraps, which libraries keep in different places."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        told = getattr(one, "kwargs", {})
        inner = [getattr(one, "reason", None), told.get("error"), *one.args, one.__cause__, one.__context__]
        waiting += [inside for inside in inner if isinstance(inside, BaseException)]
