"""Who may open a media socket: the credentials of a dialect's default endpoint, as pure functions."""

import base64
import binascii
import hmac
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

# Platforms that drop the query of the address they are given: a token in it never came from them.
_WITHOUT_QUERY = frozenset({"twilio", "signalwire"})


def token_matches(token: str, presented: bytes) -> bool:
    """Whether the presented secret is the endpoint's, in constant time. No token configured: never."""
    return bool(token) and hmac.compare_digest(token.encode(), presented)


def handshake_is_authorised(
    token: str,
    *,
    dialect: str,
    path: str,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    public_url: str,
) -> bool:
    """Whether a WebSocket handshake carries the token in one of the ways that its dialect may.

    `Authorization: Bearer|Token <token>`, the password of `Authorization: Basic`, `?token=` (not twilio), or
    `X-Twilio-Signature` made with the token as its key (twilio).

    Args:
        token: the endpoint's secret; empty refuses everything.
        path: as requested, percent-encoded.
        headers: names in lower case, values as they came: any bytes.
        public_url: where the outside world reaches this server, for example `https://alerts.example.com`.
    """
    if not token:
        return False
    presented = [_authorization_secret(value) for name, value in headers if name == b"authorization"]
    if dialect not in _WITHOUT_QUERY:
        presented += _query_tokens(query)
    if any(token_matches(token, secret) for secret in presented):
        return True
    signatures = [value for name, value in headers if name == b"x-twilio-signature"]
    return dialect == "twilio" and any(
        hmac.compare_digest(twilio_signature(token, url), signature)
        for signature in signatures
        for url in _urls_as_written(public_url, path, query.decode("latin-1"))
    )


def twilio_signature(token: str, url: str) -> bytes:
    """base64(HMAC-SHA1(token, url)): Twilio's signature of a WebSocket, which has no parameters to add.

    Source: Twilio's documentation, "Webhooks security".
    """
    return base64.b64encode(hmac.digest(token.encode(), url.encode(), "sha1"))


def _authorization_secret(value: bytes) -> bytes:
    """What an Authorization header presents as its secret; empty, which matches nothing, if none."""
    scheme, _, credentials = value.partition(b" ")
    credentials = credentials.strip()
    if scheme.lower() in (b"bearer", b"token"):
        return credentials
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _query_tokens(query: bytes) -> list[bytes]:
    try:
        pairs = parse_qsl(query.decode("latin-1"), encoding="latin-1", max_num_fields=100)
    except ValueError:
        return []
    return [value.encode("latin-1") for name, value in pairs if name == "token"]


def _urls_as_written(public_url: str, path: str, query: str) -> list[str]:
    """The addresses that may have been written into TwiML for this socket.

    The signature covers the address letter by letter, but a port that is the scheme's own and the last slash
    may or may not have been written.
    """
    public = urlsplit(public_url)
    if not public.hostname:
        return []
    host = public.netloc.rpartition("@")[2]
    bare = host.removesuffix(f":{public.port}") if public.port else host
    hosts = dict.fromkeys((host, bare, f"{bare}:{public.port or 443}"))
    prefixed = public.path.rstrip("/") + path
    paths = dict.fromkeys((prefixed, prefixed.rstrip("/"), prefixed.rstrip("/") + "/"))
    suffix = f"?{query}" if query else ""
    return [f"wss://{host}{each}{suffix}" for host in hosts for each in paths]
