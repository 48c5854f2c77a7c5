"""Classification of requests, and the properties of an exchange."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.proxy.exchange import Exchange, Head, Headers, Route
from pytest_vault_issuer.redaction.redactor import Redactor
from pytest_vault_issuer.report.evidence import exchange_text


def encode_jwt(claims: dict[str, Any]) -> str:
    """An unsigned token with these claims."""
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)] + [b"signature"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def exchange(target: str = "/v1/x", headers: Headers | None = None, body: bytes = b"", **fields: Any) -> Exchange:
    """Return an exchange with default values for fields that do not matter."""
    return Exchange(0, Head("POST", target, headers or Headers()), body, started=1.0, ended=1.5, **fields)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/auth/approle/login", Route.LOGIN),
        ("PUT", "/v1/auth/my/deep/mount/login", Route.LOGIN),
        ("POST", "/v1/team/a/auth/kubernetes/login", Route.LOGIN),
        ("POST", "/v1/wrong-mount/login", Route.LOGIN),
        ("POST", "/v1/v1/auth/aws/login", Route.LOGIN),
        ("POST", "/v1/auth/sign/login", Route.LOGIN),
        ("POST", "/prefix/v1/auth/sys/login", Route.LOGIN),
        ("GET", "/v1/auth/approle/login", Route.OTHER),
        ("POST", "/v1/sys/config/login", Route.OTHER),
        ("GET", "/v1/sys/health", Route.HEALTH),
        ("HEAD", "/v1/team/sys/health", Route.HEALTH),
        ("PUT", "/v1/sys/health/", Route.HEALTH),
        ("GET", "/v1/sys/seal-status", Route.OTHER),
        ("GET", "/v1/sys/leader", Route.OTHER),
        ("POST", "/v1/pki_int/sign/example-dot-com", Route.SIGN),
        ("PUT", "/v1/team/pki/issuer/default/sign/role", Route.SIGN),
        ("POST", "/v1/pki/sign/login", Route.SIGN),
        ("POST", "/v1/pki%2Fx/sign/r%20le", Route.SIGN),
        ("POST", "/v1/pki/sign-verbatim", Route.SIGN),
        ("POST", "/v1/pki/sign-verbatim/role", Route.SIGN),
        ("POST", "/v1/pki/root/sign-intermediate", Route.SIGN),
        ("POST", "/v1/pki/issue/role", Route.SIGN),
        ("POST", "/v1/pki/sign", Route.OTHER),
        ("GET", "/v1/pki/sign/role", Route.OTHER),
        ("GET", "/v1/auth/token/lookup-self", Route.OTHER),
        ("POST", "/v1", Route.OTHER),
        ("POST", "/auth/approle/login", Route.OTHER),
        ("OPTIONS", "*", Route.OTHER),
    ],
)
def test_route(method: str, path: str, route: Route) -> None:
    assert Route.of(method, path) is route


def test_headers() -> None:
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("B", "")])
    assert (headers.get("x-A"), headers.get("missing"), headers.get("missing", "d")) == ("1", "", "d")
    assert headers.get_all("X-a") == ["1", "2"]
    assert list(headers.without("X-A")) == [("B", "")]
    assert "b" in headers
    assert 1 not in headers
    assert len(headers) == 3


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], ""),
        ([("X-Vault-Token", "a")], "a"),
        ([("authorization", "bearer b")], "b"),
        ([("Authorization", "Basic c")], ""),
        ([("Authorization", "Bearer b"), ("X-Vault-Token", "a")], "a"),
    ],
)
def test_token(headers: list[tuple[str, str]], token: str) -> None:
    assert exchange(headers=Headers(headers)).token == token


@pytest.mark.parametrize("body", [b"", b"[1]", b"\xff", b"{", b"[" * 100000])
def test_body_that_is_no_json_object(body: bytes) -> None:
    assert exchange(body=body).json == {}
    assert exchange(response_body=body).response_json == {}
    assert exchange(body=body).jwt is None
    assert json.dumps(exchange(body=body).record(Redactor()))


def test_jwt() -> None:
    claims = {"sub": "system:serviceaccount:ns:sa", "aud": ["vault://ns/i"], "iat": 100, "exp": 700}
    jwt = exchange(body=json.dumps({"role": "r", "jwt": encode_jwt(claims)}).encode()).jwt
    assert jwt is not None
    assert (jwt.header, jwt.claims) == ({"alg": "RS256"}, claims)
    assert (jwt.subject, jwt.audiences, jwt.lifetime) == ("system:serviceaccount:ns:sa", ("vault://ns/i",), 600)


@pytest.mark.parametrize("token", [7, "", "a.b.c", "eyJ", "e30.W10.x", "e30.e30", "\u00e9.\u00e9.x"])
def test_text_that_is_not_a_jwt_is_ignored(token: Any) -> None:
    assert exchange(body=json.dumps({"jwt": token}).encode()).jwt is None


@pytest.mark.parametrize(("claims", "audiences"), [({}, ()), ({"aud": "one"}, ("one",)), ({"exp": 1}, ())])
def test_jwt_with_little_in_it(claims: dict[str, Any], audiences: tuple[str, ...]) -> None:
    jwt = exchange(body=json.dumps({"jwt": encode_jwt(claims)}).encode()).jwt
    assert jwt is not None
    assert (jwt.subject, jwt.audiences, jwt.lifetime) == ("", audiences, None)


def test_a_record_shows_all_but_secrets() -> None:
    token = encode_jwt({"sub": "s", "aud": "a", "iat": 1, "exp": 601})
    redactor = Redactor()
    redactor.add("canary-registered")
    record = exchange(
        "/v1/auth/k/login?x=canary-registered", fault="respond 503",
        headers=Headers([("X-Vault-Token", "canary"), ("X-Vault-Namespace", "team")]),
        body=json.dumps({"role": "issuer", "jwt": token}).encode(),
        status=503, response_headers=Headers([("Content-Type", "text/plain")]),
        response_body=b"sealed canary-registered", upstream=False, server_name="vault.example",
        client_certificate=Authority("clients").issue_client("issuer.example").der,
    ).record(redactor)  # fmt: skip
    assert record["jwt"]["claims"]["aud"] == "a"
    text = exchange_text(record)
    lines = text.splitlines()
    assert lines[0] == "#0 POST /v1/auth/k/login 503 [respond 503] (LOGIN, 500 ms, not answered by Vault)"
    for shown in ("asked for the server vault.example", "client certificate of CN=issuer.example"):
        assert shown in text
    for shown in ("X-Vault-Namespace: team", '"role": "issuer"', "<jwt sub=s aud=a exp-iat=600s", "< sealed <secret "):
        assert shown in text
    for leak in ("canary", token):
        assert leak not in text + json.dumps(record)


def test_a_record_cuts_long_bodies_after_redacting() -> None:
    redactor = Redactor()
    redactor.add("canary-registered")
    body = b"x" * 3990 + b"canary-registered" + b"y" * 5000
    text = exchange_text(exchange(response_body=body, upstream=True).record(redactor))
    assert "canary" not in text
    assert f"({len(body)} bytes)" in text
    assert len(text) < 4200
    assert "no response" in text


def strict(value: Any) -> str:
    """Write a record as a report does, so that every JSON parser accepts it as UTF-8."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    text.encode()
    return text


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a": "x\\ud800y"}', {"a": "x\\ud800y"}),
        (b'{"\\udfff": 1}', {"\\udfff": 1}),
        (b'{"a": [1e999, -1e999, NaN, 1.5]}', {"a": ["Infinity", "-Infinity", "NaN", 1.5]}),
        (b'{"a": "\\u001b]52;c;aGk=\\u0007"}', {"a": "\\x1b]52;c;aGk=\\x07"}),
        (b'{"a": "one\\r\\n\\ttwo \\u202e"}', {"a": "one\\x0d\n\ttwo \\u202e"}),
        (b"\x1b[2Jtext\x00\x9b", "\\x1b[2Jtext\\x00\ufffd"),
        (b"\xff\xfe\xff", "\ufffd\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"9" * 5000, None),
        (b"[" * 100_000, None),
        (b"[" * 200 + b"]" * 200, "[" * 200 + "]" * 200),
        (b'{"a":' * 45 + b"1" + b"}" * 45, None),
        (b'"' + b"x" * 300_000 + b'"', None),
        (b"\x00" * 300_000, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_any_body_is_recorded_so_that_it_can_be_written(body: bytes, shown: Any) -> None:
    record = exchange(body=body, response_body=body).record(Redactor())
    assert len(strict(record)) < 50_000
    if shown is not None:
        assert (record["body"], record["response_body"]) == (shown, shown)


def test_any_other_part_is_recorded_so_that_it_can_be_written() -> None:
    bad = "\ud800 \x1b[2J"
    claims = {"sub": bad, "exp": float("inf")}
    record = exchange(
        f"/v1/{bad}?a=%1b%5b2J&b=%ed%a0%80", headers=Headers([("X", bad)]),
        response_headers=Headers([("Y", bad)]), fault=f"failed: {bad}", server_name=bad,
        body=json.dumps({"jwt": encode_jwt(claims)}).encode(),
    ).record(Redactor())  # fmt: skip
    text = strict(record)
    assert "\x1b" not in text
    assert record["headers"] == [["X", "\\ud800 \\x1b[2J"]]
    assert record["jwt"]["claims"] == {"sub": "\\ud800 \\x1b[2J", "exp": "Infinity"}


def test_deeply_nested_token_is_recorded() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    record = exchange(body=json.dumps({"jwt": encode_jwt({"deep": deep})}).encode()).record(Redactor())
    assert record["jwt"] == "nested too deeply"


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode())
)
@example(b'"\\ud800"')
@example(b"1e999")
@example(b"NaN")
def test_any_content_is_recorded_so_that_it_can_be_written(body: bytes) -> None:
    text = strict(exchange(body=body, response_body=body).record(Redactor()))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
