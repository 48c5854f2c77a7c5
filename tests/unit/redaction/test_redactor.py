"""Canaries: the redactor removes a secret in every form."""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
import urllib.parse
from collections.abc import Callable
from types import FrameType
from typing import Any, SupportsIndex

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.redaction import redactor as redactor_module
from pytest_vault_issuer.redaction import shapes
from pytest_vault_issuer.redaction.redactor import Redactor, decode_jwt

# Characters that every encoding changes.
SECRET = 'c4n4ry/+?&<"\\>=ä\n-value'
MARK = re.compile(r"<secret [0-9a-f]{6}>")


def encode_jwt(claims: dict[str, Any]) -> str:
    """A token with these claims."""
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)] + [b"\xffsignature\xff"]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.fixture
def redactor() -> Redactor:
    """Return a redactor that knows the canary."""
    redactor = Redactor()
    redactor.add(SECRET)
    return redactor


def go_json(text: str) -> str:
    """Return a string as Go's JSON encoder writes it."""
    escaped = json.dumps(text, ensure_ascii=False)
    return escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        go_json(SECRET),
        json.dumps(json.dumps(SECRET)),
        urllib.parse.quote(SECRET),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        urllib.parse.urlencode({"x": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        urllib.parse.quote(base64.b64encode(SECRET.encode()).decode(), safe=""),
    ],
)
def test_registered_value_in_every_form_has_one_mark(redactor: Redactor, form: str) -> None:
    text = redactor.redact(f"before {form} after")
    mark = redactor.redact(SECRET)
    assert MARK.fullmatch(mark)
    assert mark in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "4ry" not in text
    assert "value" not in text
    assert redactor.redact(text) == text


@pytest.mark.parametrize(
    "shown",
    [
        str.upper,
        lambda text: str(text.encode("utf-16-le")),
        lambda text: text.encode("utf-16-be").decode(),
        lambda text: f"(b'{text[:10]}'\n b'{text[10:20]}'\n b'{text[20:]}')",
        lambda text: f"E     -  '{text[:10]}'\nE     -  '{text[10:]}'",
    ],
    ids=["upper case", "UTF-16", "UTF-16 of the other order", "wrapped bytes", "wrapped text in a comparison"],
)
def test_registered_secret_id_in_other_forms(shown: Callable[[str], str]) -> None:
    redactor = Redactor()
    secret_id = "caa1f248-a7f1-e6b0-b9b4-9cd23959d1a3"
    redactor.add(secret_id)
    text = redactor.redact(f"before {shown(secret_id)} after")
    assert "<secret " in text
    left = re.sub(r"<secret [0-9a-f]{6}>", "", text).lower().replace("\\x00", "").replace("\0", "")
    assert not any(secret_id[at : at + 6] in left for at in range(len(secret_id) - 6))


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", range(3))
def test_registered_value_inside_a_longer_base64_text(before: int, after: int) -> None:
    redactor = Redactor()
    redactor.add("canary-canary")
    encoded = base64.b64encode(b"u" * before + b"canary-canary" + b"\n" * after).decode()
    text = redactor.redact(f"Basic {encoded}")
    assert MARK.search(text)
    left = re.sub(r"<secret [0-9a-f]{6}>", "", text)
    assert not any(encoded[start : start + 8] in left for start in range(8, 13))


def test_short_values_are_ignored() -> None:
    redactor = Redactor()
    redactor.add("")
    redactor.add("default")
    assert redactor.redact("the default namespace") == "the default namespace"


def test_value_with_a_newline_is_found_without_it() -> None:
    redactor = Redactor()
    redactor.add("canary-value\n")
    assert redactor.redact("is canary-value?") == f"is {redactor.redact('canary-value')}?"
    assert MARK.fullmatch(redactor.redact("canary-value"))


def test_longer_of_two_values_wins_and_equal_values_look_equal() -> None:
    redactor = Redactor()
    redactor.add("canary-one")
    redactor.add("canary-one-longer")
    first, second, third = redactor.redact("canary-one canary-one-longer canary-one").split("> ")
    assert third == first + ">"
    assert first != second
    assert "longer" not in second


def test_mark_differs_between_kinds_of_process(monkeypatch: pytest.MonkeyPatch, redactor: Redactor) -> None:
    first = redactor.redact(SECRET)
    monkeypatch.setattr("pytest_vault_issuer.redaction.redactor._SALT", b"another process")
    assert redactor.redact(SECRET) != first


@pytest.mark.parametrize(
    "token",
    [
        "hvs.CAESIJ1x-canary_x9Q",
        "hvb.AAAAAQcanarycanary",
        "hvr.AAAAAQcanarycanary",
        "hvs.canarycanary.nsid1",
        "s.canary0123456789canary01",
        "s.canary0123456789canary01.nsid1",
        "b.canary0123456789canary01",
    ],
)
@pytest.mark.parametrize("frame", ["{}", 'x="{}"', "error\\n{}\\n", "a%22{}%22", "({})", "token {}, expired"])
def test_vault_tokens(token: str, frame: str) -> None:
    redactor = Redactor()
    text = redactor.redact(frame.format(token))
    assert "canary" not in text
    assert "nsid" not in text
    assert len(MARK.findall(text)) == 1
    assert redactor.redact(text) == text


def test_jwt_is_described(redactor: Redactor) -> None:
    token = encode_jwt({"sub": "system:serviceaccount:a:b", "aud": ["vault://a/i", "x"], "iat": 1000, "exp": 1600})
    text = redactor.redact(f"login with {token} failed")
    assert re.fullmatch(
        r"login with <jwt sub=system:serviceaccount:a:b aud=vault://a/i,x exp-iat=600s [0-9a-f]{6}> failed", text
    )
    redactor.add(token)
    assert redactor.redact(f"login with {token} failed") == text
    assert redactor.redact_json({"jwt": token})["jwt"] in text
    assert redactor.redact(f'{{"jwt":"{token}"}}') in f'{{"jwt":"{text[11:-7]}"}}'
    assert redactor.redact(text) == text


@pytest.mark.parametrize("claims", [{}, {"exp": "x", "iat": 1}, {"exp": float("inf"), "iat": 1}])
def test_jwt_without_lifetime(redactor: Redactor, claims: dict[str, Any]) -> None:
    assert re.fullmatch(r"<jwt sub= aud= exp-iat=\? [0-9a-f]{6}>", redactor.redact(encode_jwt(claims)))


def test_claims_do_not_carry_secrets_or_forge_marks(redactor: Redactor) -> None:
    redactor.add("canary-subject")
    text = redactor.redact(encode_jwt({"sub": "canary-subject", "aud": "><secret 000000>"}))
    assert "canary" not in text
    assert "<secret 000000>" not in text


def test_cut_jwt(redactor: Redactor) -> None:
    token = encode_jwt({"sub": "canary"})
    assert "eyJ" not in redactor.redact(token.rpartition(".")[0])


def private_keys() -> list[str]:
    """Return a new key in all supported formats."""
    key = ec.generate_private_key(ec.SECP256R1())
    formats = (
        serialization.PrivateFormat.PKCS8,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.PrivateFormat.OpenSSH,
    )
    return [
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode() for form in formats
    ]


@pytest.mark.parametrize("number", range(3))
def test_private_key_blocks(redactor: Redactor, number: int) -> None:
    pem = private_keys()[number]
    mark = redactor.redact(pem).strip()
    assert re.fullmatch(r"<private key [0-9a-f]{6}>", mark)
    for text in (
        f"key:\n{pem}rest: 1",
        json.dumps({"message": pem}),
        f"tls.key: {base64.b64encode(pem.encode()).decode()}",
    ):
        redacted = redactor.redact(text)
        assert mark in redacted
        assert not any(line in redacted for line in pem.splitlines()[1:-1])
        assert "PRIVATE" not in redacted
    assert redactor.redact(f"key:\n{pem}rest: 1").endswith("rest: 1")


def test_private_key_that_was_cut(redactor: Redactor) -> None:
    pem = private_keys()[0]
    text = redactor.redact("a: " + pem[:120])
    assert re.fullmatch(r"a: <private key [0-9a-f]{6}>", text)
    assert redactor.redact(json.dumps(pem)[:120]).startswith('"<private key ')
    assert redactor.redact(base64.b64encode(pem.encode()).decode()[:101]).startswith("<private key ")


def test_registered_private_key_has_the_same_mark(redactor: Redactor) -> None:
    pem = private_keys()[0]
    mark = redactor.redact(pem).strip()
    redactor.add(pem)
    assert redactor.redact(pem).strip() == mark
    assert redactor.redact(json.dumps(pem.strip())) == f'"{mark}"'


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary1",
        "authorization: basic Y2FuYXJ5",
        "Authorization:[Bearer canary1]",
        '"Authorization": ["Bearer canary1"]',
        '{\\"Authorization\\":\\"Bearer canary1\\"}',
        "sent bearer canary1canary1canary1 along",
        "X-Vault-Token: canary",
        "X-Vault-Token:[canary]",
        '{"x-vault-token": "canary"}',
        "users:\n- name: u\n  user:\n    token: canary\n",
        'user:\n  token: "canary"',
        '{"kubeconfig": "user:\\n  token: canary\\n"}',
        "Unseal Key 1: canary",
        "Initial Root Token: canary",
        '{"role_id": "r", "secret_id": "canary"}',
        '{"secretId":"canary"}',
        '{"private_key":"canary \\"quoted canary\\" canary"}',
        '{"msg":"{\\"client_token\\":\\"canary\\"}"}',
        '{"keys":["canary","canary2"],"keys_base64":["canary"]}',
        '{"password": "canary',
    ],
)
def test_credentials_are_recognized_by_their_name(redactor: Redactor, text: str) -> None:
    redacted = redactor.redact(text)
    assert "canary" not in redacted
    assert "Y2FuYXJ5" not in redacted
    assert MARK.search(redacted)
    assert redactor.redact(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "invalid token: permission denied",
        "the bearer of this token may log in",
        "role_id: 1b671a64-40d5-491e-99b0-da01ff1f3341",
        '{"role": "issuer", "tokenSecretRef": {"name": "vault-token", "key": "token"}, "renewable": false}',
        "Failed to initialize Vault client: error calling Vault server: Error making API request.",
        "vault://namespace/issuer",
        "",
    ],
)
def test_what_is_no_secret_stays(redactor: Redactor, text: str) -> None:
    assert redactor.redact(text) == text


def test_certificates_are_shortened(redactor: Redactor) -> None:
    authority = Authority("My CA")
    serial = x509.load_pem_x509_certificate(authority.pem.encode()).serial_number
    shown = f"<certificate CN=My CA serial={serial:x}>"
    assert redactor.redact(f"chain: {authority.pem}").strip() == f"chain: {shown}"
    assert redactor.redact(json.dumps({"c": authority.pem.strip()})) == json.dumps({"c": shown})
    assert "BEGIN" in redactor.redact("-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----")


@pytest.mark.parametrize("name", ["web.example", ""])
def test_certificate_requests_are_shortened(redactor: Redactor, name: str) -> None:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    pem = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM
    )
    assert redactor.redact(pem.decode().strip()) == f"<certificate request CN={name}>"


def test_headers(redactor: Redactor) -> None:
    headers = [
        ("X-Vault-Token", "root"),
        ("authorization", "Bearer canary"),
        ("Authorization", "canary"),
        ("Cookie", "canary"),
        ("X-Vault-Namespace", "team"),
        ("X-Trace", "hvs.canarycanary"),
        ("x-vault-token", ""),
    ]
    redacted = redactor.redact_headers(headers)
    assert [name for name, _ in redacted] == [name for name, _ in headers]
    text = str(redacted)
    assert "canary" not in text
    assert "root" not in text
    assert redacted[1][1].startswith("Bearer <secret ")
    assert redacted[4][1] == "team"
    assert redacted[6][1] == ""
    assert redactor.redact_headers(dict(headers[4:5])) == [("X-Vault-Namespace", "team")]


def test_json(redactor: Redactor) -> None:
    value = {
        "auth": {"client_token": "canary", "policies": ["default"], "accessor": "a"},
        "data": [{"secret_id": "canary", "role_id": "shown", "ttl": 600, "ok": True, "none": None}],
        "keys": ["canary", "canary2"],
        "unseal_keys_b64": ["canary"],
        "root_token": "canary",
        "clientToken": "canary",
        "X-Vault-Token": "canary",
        "password": "",
        "token": {"name": "shown", "deep": "hvs.canarycanary"},
        SECRET: SECRET,
    }
    redacted = redactor.redact_json(value)
    text = json.dumps(redacted)
    assert "canary" not in text
    assert "c4n4ry" not in text
    assert redacted["data"][0] | {"secret_id": ""} == value["data"][0] | {"secret_id": ""}  # type: ignore[index]
    assert redacted["token"]["name"] == "shown"
    assert redacted["password"] == ""
    assert redacted["auth"]["client_token"] == redacted["root_token"] == redacted["keys"][0] != redacted["keys"][1]
    assert redactor.redact_json(redacted) == redacted


def test_kubernetes_secret(redactor: Redactor) -> None:
    value = {"kind": "Secret", "metadata": {"name": "shown"}, "data": {"k": "canary"}, "stringData": {"k": "canary"}}
    redacted = redactor.redact_json({"items": [value]})["items"][0]
    assert redacted["metadata"] == {"name": "shown"}
    assert redacted["data"] == redacted["stringData"]
    assert MARK.fullmatch(redacted["data"]["k"])


def test_adding_while_redacting() -> None:
    redactor = Redactor()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for index in range(20):
                redactor.add(f"canary-{number}-{index}")
                assert "canary" not in redactor.redact(f"x canary-{number}-{index} x")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_decode_jwt_returns_none_for_other_texts() -> None:
    assert decode_jwt("a.b") is None
    assert decode_jwt(encode_jwt({"a": 1})) == ({"alg": "RS256"}, {"a": 1})


# -- time --------------------------------------------------------------------------------------------------------


class Sliced(str):
    """A text that counts the characters that are copied from it."""

    copied = 0

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part = super().__getitem__(key)
        Sliced.copied += len(part)
        return part


def test_header_is_found_without_a_copy_of_the_text_before_it() -> None:
    text = Sliced("authorization: abc\n" * 1000)
    assert len(list(shapes.find(text))) == 1000
    assert Sliced.copied < 20 * len(text)


def steps(redactor: Redactor, text: str) -> int:
    """Count the lines of the redactor that run for a text."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        nonlocal count
        if frame.f_code.co_filename != redactor_module.__file__:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        redactor.redact(text)
    finally:
        sys.settrace(before)
    return count


def test_steps_for_a_text_that_was_partly_redacted_are_proportional_to_its_length(redactor: Redactor) -> None:
    line = f"{redactor.redact('hvs.CAESIcanarycanarycanary1')} hvs.CAESIcanarycanarycanary2\n"
    assert steps(redactor, line * 400) < 3 * steps(redactor, line * 200)


def test_end_of_a_text_has_no_rest_of_a_key(redactor: Redactor) -> None:
    """The beginning of the key is cut off, so that its rest has no shape."""
    key = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    lines = [f"line {number}" for number in range(5000)]
    text = "\n".join([*lines, "a key:", key.decode(), *lines])
    for cut in (text.index("-----END"), text.index("PRIVATE KEY-----") + 40):
        end = redactor.redact_end(text, len(text) - cut)
        assert not [line for line in key.decode().splitlines() if line in end]
        assert end.startswith("line ")
        assert end.endswith("line 4999")
    assert redactor.redact_end("short\ntext", 3) == "short\ntext"
