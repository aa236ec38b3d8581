"""A handshake is let in with the endpoint's token in any way that its dialect has, and never otherwise."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from analysis.ingest.auth import Endpoint, Proof, handshake_is_authorised, token_is_authorised, token_matches

TOKEN = "tökén-1"
PUBLIC_URL = "https://alerts.example.com"


def let_in(
    *headers: tuple[str, bytes],
    dialect: str = "twilio",
    token: str = TOKEN,
    query: bytes = b"",
    path: str = "/media/twilio/",
    public_url: str = PUBLIC_URL,
    proof: Proof = Proof.ANY,
) -> bool:
    return handshake_is_authorised(
        Endpoint(dialect, token, proof),
        path=path,
        query=query,
        headers=[(name.encode(), value) for name, value in headers],
        public_url=public_url,
    )


def signed(url: str, key: str = TOKEN) -> tuple[str, bytes]:
    """The header that Twilio's own code makes for this address."""
    return "x-twilio-signature", RequestValidator(key).compute_signature(url, {}).encode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "TOKEN"])
def test_an_authorization_header_lets_in(scheme: str) -> None:
    assert let_in(("authorization", f"{scheme} {TOKEN}".encode()))
    assert not let_in(("authorization", f"{scheme} {TOKEN}x".encode()))
    assert not let_in(("authorization", scheme.encode()))


def test_the_basic_password_lets_in_whatever_the_user() -> None:
    assert let_in(("authorization", b"Basic " + base64.b64encode(f"anyone:{TOKEN}".encode())))
    assert not let_in(("authorization", b"Basic " + base64.b64encode(f"{TOKEN}:anyone".encode())))
    assert not let_in(("authorization", b"Basic not-base64!"))


def test_the_query_lets_in_where_the_platform_keeps_queries() -> None:
    assert let_in(dialect="pcm", query=b"token=t%C3%B6k%C3%A9n-1&call_id=1")
    assert not let_in(dialect="pcm", query=b"token=wrong")
    assert not let_in(dialect="twilio", query=b"token=t%C3%B6k%C3%A9n-1")


@pytest.mark.parametrize(
    ("written", "public_url", "path"),
    [
        ("wss://alerts.example.com/media/twilio/", PUBLIC_URL, "/media/twilio/"),
        ("wss://alerts.example.com/media/twilio", PUBLIC_URL, "/media/twilio/"),
        ("wss://alerts.example.com/media/twilio/", PUBLIC_URL + "/", "/media/twilio"),
        ("wss://alerts.example.com:443/media/twilio/", PUBLIC_URL, "/media/twilio/"),
        ("wss://alerts.example.com/media/twilio/", PUBLIC_URL + ":443", "/media/twilio/"),
        ("wss://alerts.example.com:8443/media/twilio/", PUBLIC_URL + ":8443", "/media/twilio/"),
        ("wss://alerts.example.com/media/twilio/", PUBLIC_URL + ":8443", "/media/twilio/"),
        ("wss://alerts.example.com/a/media/twilio/", PUBLIC_URL + "/a", "/media/twilio/"),
    ],
)
def test_twilios_own_signature_of_the_address_lets_in(written: str, public_url: str, path: str) -> None:
    assert let_in(signed(written), public_url=public_url, path=path)


def test_an_endpoint_takes_only_the_kind_of_proof_that_it_names() -> None:
    token, signature = ("authorization", f"Bearer {TOKEN}".encode()), signed("wss://alerts.example.com/media/twilio/")
    assert let_in(token, proof=Proof.TOKEN)
    assert not let_in(token, proof=Proof.SIGNATURE)
    assert let_in(signature, proof=Proof.SIGNATURE)
    assert not let_in(signature, proof=Proof.TOKEN)
    assert not token_is_authorised(Endpoint("twilio", TOKEN, Proof.SIGNATURE), TOKEN.encode())


def test_a_signature_of_something_else_does_not() -> None:
    right = "wss://alerts.example.com/media/twilio/"
    assert not let_in(signed(right, key="another"))
    assert not let_in(signed("https://alerts.example.com/media/twilio/"))
    assert not let_in(signed("wss://other.example.com/media/twilio/"))
    assert not let_in(signed(right), dialect="pcm")
    assert not let_in(signed(right), public_url="")


def test_without_a_configured_token_nothing_lets_in() -> None:
    assert not let_in(("authorization", b"Bearer "), token="")
    assert not let_in(signed("wss://alerts.example.com/media/twilio/", key=""), token="")
    assert not let_in(dialect="pcm", query=b"token=", token="")
    assert not token_matches("", b"")


@given(
    name=st.sampled_from(["authorization", "x-twilio-signature"]),
    scheme=st.sampled_from([b"", b"Bearer ", b"Basic "]),
    value=st.binary(max_size=40),
    query=st.binary(max_size=40),
)
def test_any_bytes_in_headers_and_query_are_refused_without_a_fault(
    name: str, scheme: bytes, value: bytes, query: bytes
) -> None:
    assert not let_in((name, scheme + value), dialect="pcm", query=query)
    assert not let_in((name, scheme + value), query=query)
