"""Who may open a media socket: endpoints and the proofs of their secrets, as pure functions."""

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, urlsplit

# Platforms that drop the query of the address they are given: a token in it never came from them.
_WITHOUT_QUERY = frozenset({"twilio", "signalwire"})


class Proof(Enum):
    """How a phone system proves that it knows its endpoint's secret."""

    ANY = "any"
    TOKEN = "token"
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where phone systems connect to.

    Attributes:
        dialect: what they speak there.
        secret: what they must know; empty lets nobody in.
        proof: how they show it.
        name: which endpoint it is; empty for a dialect's default one.
        roles: who is on which track, for example `{"inbound": "agent"}`; empty means the dialect's own.
        defaults: the fields of raw audio's description that its senders leave out.
    """

    dialect: str
    secret: str = field(repr=False)
    proof: Proof = Proof.ANY
    name: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)


def token_matches(token: str, presented: bytes) -> bool:
    """Whether the presented secret is the endpoint's, in constant time. No token configured: never."""
    return bool(token) and hmac.compare_digest(token.encode(), presented)


def token_is_authorised(endpoint: Endpoint, presented: bytes) -> bool:
    """Whether a token lets in at an endpoint."""
    return endpoint.proof is not Proof.SIGNATURE and token_matches(endpoint.secret, presented)


def handshake_is_authorised(
    endpoint: Endpoint,
    *,
    path: str,
    query: bytes,
    headers: Iterable[tuple[bytes, bytes]],
    public_url: str,
) -> bool:
    """Whether a WebSocket handshake proves the endpoint's secret in one of the ways that its dialect may.

    `Authorization: Bearer|Token <secret>`, the password of `Authorization: Basic`, `?token=` (not twilio), or
    `X-Twilio-Signature` made with the secret as its key (twilio).

    Args:
        path: as requested, percent-encoded.
        headers: names in lower case, values as they came: any bytes.
        public_url: where the outside world reaches this server, for example `https://alerts.example.com`.
    """
    if not endpoint.secret:
        return False
    presented = [_authorization_secret(value) for name, value in headers if name == b"authorization"]
    if endpoint.dialect not in _WITHOUT_QUERY:
        presented += _query_tokens(query)
    if any(token_is_authorised(endpoint, secret) for secret in presented):
        return True
    signatures = [value for name, value in headers if name == b"x-twilio-signature"]
    return (endpoint.dialect == "twilio" and endpoint.proof is not Proof.TOKEN) and any(
        hmac.compare_digest(twilio_signature(endpoint.secret, url), signature)
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
