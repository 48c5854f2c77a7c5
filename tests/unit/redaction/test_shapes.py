"""Shapes of secrets: what the redactor removes in any context, and what it keeps."""

from __future__ import annotations

import base64
import json
import random
import re
import string
import textwrap
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from xml.sax.saxutils import escape

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_vault_issuer.certificates import Authority
from pytest_vault_issuer.redaction.redactor import Redactor

RANDOM = random.Random(7)
BASE62, BASE64, BASE64URL = (string.ascii_letters + string.digits + more for more in ("", "+/", "-_"))


def some(length: int, alphabet: str = BASE62) -> str:
    return "".join(RANDOM.choice(alphabet) for _ in range(length))


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def jwt(*, padded: bool = False) -> str:
    """Return a ServiceAccount token as a client writes it that omits the padding."""
    parts = [json.dumps({"alg": "RS256", "kid": some(20)}), json.dumps({"sub": "a", "aud": ["vault"], "x": some(9)})]
    encoded = [base64.urlsafe_b64encode(part.encode()).decode() for part in parts]
    encoded.append(base64.urlsafe_b64encode(RANDOM.randbytes(256)).decode())
    return ".".join(part if padded else part.rstrip("=") for part in encoded)


def pem(key: Any, form: serialization.PrivateFormat) -> str:
    encoded: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return encoded.decode()


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
SECRET_ID = str(uuid.UUID(int=RANDOM.getrandbits(128), version=4))
#: Secrets that the redactor recognizes by their shape.
SHAPES = {
    "service token": f"hvs.CAESI{some(90, BASE64URL)}",
    "batch token": f"hvb.AAAAAQ{some(120, BASE64URL)}",
    "recovery token": f"hvr.{some(24)}",
    "old service token": f"s.{some(23)}A",
    "OpenBao token of a namespace": f"s.{some(23)}A.aJwLxm",
    "OpenBao batch token": f"b.AAAAAQ{some(137, BASE64URL)}",
    "OpenBao recovery token": f"r.{some(23)}A",
    "JWT": jwt(),
    "padded JWT": jwt(padded=True),
    "PKCS #8 key": pem(RSA, serialization.PrivateFormat.PKCS8).strip(),
    "RSA key": pem(RSA, serialization.PrivateFormat.TraditionalOpenSSL).strip(),
    "EC key": pem(EC, serialization.PrivateFormat.TraditionalOpenSSL).strip(),
    "AWS session token": f"IQoJb3JpZ2luX2VjE{some(300, BASE64)}==",
    "AWS session token of STS": f"FwoGZXIvYXdzE{some(300, BASE64)}=",
}
#: Secrets that the redactor recognizes only by their name.
NAMED = {
    "secret_id": SECRET_ID,
    "SecretID": SECRET_ID,
    "client_token": some(30),
    "password": "correct-h0rse/battery",
    "jwt": some(40),
    "secret_access_key": some(40, BASE64),
    "AWS_SECRET_ACCESS_KEY": some(40, BASE64),
    "SessionToken": some(200, BASE64),
    "client_secret": some(20),
    "VAULT_TOKEN": some(26),
    "unseal_key": RANDOM.randbytes(32).hex(),
}


def wrapped(text: str, width: int = 76, between: str = "\n") -> str:
    encoded = b64(text)
    return between.join(encoded[at : at + width] for at in range(0, len(encoded), width))


Frame = Callable[[str], str]
#: Contexts of a secret without a name.
PLACES: dict[str, Frame] = {
    "alone": "{}".format,
    "in quotes": 'got "{}" back'.format,
    "in a sentence": "login with {}, which was refused".format,
    "JSON": lambda s: json.dumps({"message": f"got {s}"}),
    "JSON in JSON": lambda s: json.dumps({"m": json.dumps({"message": f"got {s}"})}),
    "three layers of JSON": lambda s: json.dumps(json.dumps(json.dumps([s]))),
    "Go's JSON": lambda s: json.dumps({"m": s}).replace("<", "\\u003c").replace("=", "\\u003d"),
    "percent": lambda s: f"q={urllib.parse.quote(s, safe='')}&r=1",
    "percent in lower case": lambda s: re.sub("%..", lambda m: m[0].lower(), urllib.parse.quote(s, safe="")),
    "percent twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "repr": repr,
    "repr of bytes": lambda s: repr(s.encode()),
    "XML": lambda s: f"<a>{escape(s)}</a>",
}
ENCODED: dict[str, Frame] = {
    "base64 of JSON": lambda s: f"data: {b64(json.dumps({'jwt': s}))}",
    "wrapped base64 of JSON": lambda s: wrapped(json.dumps({"jwt": s, "role": "issuer" * 9})),
    "wrapped base64 in JSON": lambda s: json.dumps({"d": wrapped(json.dumps({"token": s, "role": "issuer" * 9}))}),
}
#: Contexts of a name with its value.
PAIRS: dict[str, Callable[[str, str], str]] = {
    "JSON": lambda n, v: json.dumps({n: v, "role": "shown"}),
    "JSON in JSON": lambda n, v: json.dumps({"m": json.dumps({n: v})}),
    "three layers of JSON": lambda n, v: json.dumps({"m": json.dumps({"m": json.dumps({n: v})})}),
    "logfmt": lambda n, v: f"level=info {n}={v} role=shown",
    "quoted logfmt": lambda n, v: f'level=info {n}="{v}" role=shown',
    "form": lambda n, v: f"role_id=shown&{n}={urllib.parse.quote(v, safe='')}&x=1",
    "Go %+v": lambda n, v: f"{{RoleID:shown {n[0].upper() + n[1:]}:{v} TTL:1h}}",
    "Go %#v": lambda n, v: f'api.Login{{RoleID:"shown", {n}:"{v}"}}',
    "Go map": lambda n, v: f"map[role_id:shown {n}:{v}]",
    "YAML": lambda n, v: f"login:\n  {n}: {v}\n  role: shown\n",
    "YAML list": lambda n, v: f"- {n}: {v}\n- role: shown\n",
    "HCL": lambda n, v: f'{n} = "{v}"\nrole = "shown"\n',
    "ini": lambda n, v: f"[default]\n{n} = {v}\nrole = shown\n",
    "export": lambda n, v: f"export {n}={v}\n",
    "repr": lambda n, v: repr({n: v, "role": "shown"}),
    "in a sentence": lambda n, v: f"sent {n}: {v} to Vault",
    "flag": lambda n, v: f"vault write --{n} {v} role=shown",
    "XML": lambda n, v: f"<Credentials><{n}>{escape(v)}</{n}><Role>shown</Role></Credentials>",
    "percent": lambda n, v: urllib.parse.quote(json.dumps({n: v}), safe=""),
}
PAIR_NAMES = ("secret_id", "SecretID", "client_token", "secret_access_key", "SessionToken", "password")
HEADERS = {
    "Go map of headers": "map[Accept:[*/*] X-Vault-Token:[{}] X-Vault-Request:[true]]",
    "dump of headers": "POST /v1/x HTTP/1.1\r\nX-Vault-Token: {}\r\nAccept: */*\r\n",
    "curl": "curl -H 'X-Vault-Token: {}' http://x",
    "JSON": '{{"X-Vault-Token": "{}"}}',
    "JSON of lists": '{{"X-Vault-Token": ["{}"]}}',
    "list of pairs": "[('X-Vault-Token', '{}'), ('Accept', '*/*')]",
    "authorization": "Authorization: Bearer {}",
    "Go map of authorization": "map[Authorization:[Bearer {}]]",
    "bearer in a sentence": "sent Bearer {} along",
    "basic": "authorization: Basic {}",
    "URL": "GET https://user:{}@vault.example.com/v1/sys",
}


#: A value without a secret's shape, and contexts in which its name identifies it.
WORDS = "battery-staple"
WORDS_AFTER = ("JSON", "logfmt", "form", "Go %+v", "Go %#v", "YAML", "YAML list", "HCL", "export", "XML")


def cases() -> Iterator[tuple[str, str, str]]:
    """Yield (name, secret, text)."""
    for shape, secret in SHAPES.items():
        for place, frame in (PLACES | ENCODED).items():
            yield f"{shape}, {place}", secret, frame(secret)
    for name in PAIR_NAMES:
        for place, pair in PAIRS.items():
            yield f"{name}, {place}", NAMED[name], pair(name, NAMED[name])
    for name, secret in NAMED.items():
        yield f"{name}, logfmt again", secret, f"x=1 {name}={secret}"
        yield f"{name}, base64", secret, f"body {b64(json.dumps({name: secret}))}"
        yield f"{name}, wrapped", secret, wrapped(json.dumps({"role": "x" * 90, name: secret}))
    for place, text in HEADERS.items():
        secret = some(26)
        yield f"header, {place}", secret, text.format(secret)
    for place in WORDS_AFTER:
        yield f"password of words, {place}", WORDS, PAIRS[place]("password", WORDS)
    yield "header of words", WORDS, HEADERS["Go map of headers"].lower().format(WORDS)
    key = SHAPES["PKCS #8 key"]
    pair = f"ASIA{some(16, string.ascii_uppercase)} {some(40, BASE64)}"
    yield "AWS pair", pair.split()[1], f"{{{pair} }}"
    yield "AWS pair, quoted", pair.split()[1], '"' + pair.replace(" ", '", "') + '"'
    yield "AWS signature", "0123456789abcdef" * 4, "Credential=A, Signature=" + "0123456789abcdef" * 4
    yield "key wrapped at 76 columns", key, textwrap.indent(wrapped(key), "    ")
    yield "key wrapped at 64 columns", key, wrapped(key, 64, "\r\n")
    yield "indented key", key, "tls.key: |\n" + textwrap.indent(key, "  ")
    yield "key with a prefix of a log", key, textwrap.indent(key, "I1129 12:00:00 ")
    yield "key without its end", key, key[:900]
    yield "key without its beginning", key, key[-900:] + "\nlast line"
    yield "key cut in the middle", key, repr(f"{key[:200]}...{key[-200:]}")
    yield "key in DER", key, "".join(key.splitlines()[1:-1])
    yield "JWT cut in the middle", SHAPES["JWT"], f"'{SHAPES['JWT'][:117]}...{SHAPES['JWT'][-119:]}'"
    yield (
        "token cut in the middle",
        SHAPES["OpenBao batch token"],
        "'{0:.40}...{0:.40}'".format(SHAPES["OpenBao batch token"]),
    )
    yield (
        "JWT wrapped at 76 columns",
        SHAPES["JWT"],
        "\n".join(textwrap.wrap(SHAPES["JWT"], 76, break_on_hyphens=False)),
    )
    yield "secret ID in prose", SECRET_ID, f"invalid secret id {SECRET_ID}"
    for form in (
        {"kind": "Secret", "data": {"x": b64(some(30))}},
        {"kind": "SecretList", "items": [{"data": {"x": some(30)}}]},
    ):
        secret = form["data"]["x"] if "data" in form else form["items"][0]["data"]["x"]  # type: ignore[index]
        yield f"data of a {form['kind']}", secret, json.dumps(form)
    yield "data of a Secret in YAML", "aGVsbG8gd29ybGQgMTIz", "kind: Secret\ndata:\n  x: aGVsbG8gd29ybGQgMTIz\n"
    yield "keys", "ab" * 32, json.dumps({"data": {"keys": ["ab" * 32]}})
    yield "JSON web key", "d" * 43, json.dumps({"kty": "EC", "crv": "P-256", "d": "d" * 43})
    yield "unseal key", b64("x" * 32), f"Unseal Key 1: {b64('x' * 32)}"


CASES = list(cases())


def leaks(secret: str, text: str) -> list[str]:
    """Return the part of a secret that remains: eight consecutive characters, of any line, and of a JWT's signature."""
    body = secret.rpartition(".")[2] if secret.startswith("eyJ") else re.sub("-----[^-]+-----", "", secret)
    spelled = [body, b64(secret), json.dumps(secret)[1:-1]]
    runs = [line[at : at + 10] for part in spelled for line in part.splitlines() for at in range(max(len(line) - 9, 1))]
    runs += [] if len(secret) > 9 else [secret]
    return [run for run in dict.fromkeys(runs) if len(run) >= 8 and run in text]


@pytest.mark.parametrize(("secret", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("known", [False, True], ids=["not registered", "registered"])
def test_secret_is_masked(secret: str, text: str, known: bool) -> None:
    redactor = Redactor()
    if known:
        redactor.add(secret)
    redacted = redactor.redact(text)
    assert leaks(secret, redacted) == []
    assert re.search(r"<(?:secret|private key|jwt) ", redacted)
    assert redactor.redact(redacted) == redacted


def test_the_table_of_shapes_is_complete() -> None:
    assert len({name for name, *_ in CASES}) == len(CASES) >= 154


@pytest.mark.parametrize(
    "place", [*PLACES, "base64", "base64 of a longer text", "wrapped base64", "hexadecimal", "HEX", "%v"]
)
def test_registered_value_without_a_shape_is_masked_in_every_encoding(place: str) -> None:
    secret = 'corr3ct ho+rse"\\<&>/bättery=%41-staple_xyz'
    encodings: dict[str, Frame] = {
        "base64": b64,
        "base64 of a longer text": lambda s: b64(f"user:{s}:more"),
        "wrapped base64": lambda s: wrapped("x" * 70 + s),
        "hexadecimal": lambda s: s.encode().hex(),
        "HEX": lambda s: s.encode().hex(":").upper(),
        "%v": lambda s: f"[{' '.join(map(str, s.encode()))}]",
    }
    redactor = Redactor()
    redactor.add(secret)
    encoded = (PLACES | encodings)[place](secret)
    redacted = redactor.redact(encoded)
    assert redactor.redact(secret) in redacted
    assert leaks(secret, redacted) == []
    assert redactor.redact(redacted) == redacted


AUTHORITY = Authority("My CA")
STAYS = {
    "answer of a LIST": '{"data":{"keys":["issuer","tls-server","team-a/"]}}',
    "LIST of accessors": '{"data": {"keys": ["1b671a64-40d5-491e-99b0-da01ff1f3341"]}}',
    "LIST of serials": '{"data":{"keys":["7f-3a-11-0c-de-ad-be-ef-00-01-02-03-04-05-06-07-08-09-0a-0b"]}}',
    "bearer in prose": "bearer tokens are required",
    "bearer of a token": "the bearer of this token may log in with bearer authentication-configuration",
    "a reason": "invalid token: reason",
    "a reason with a number": "invalid token: x509: certificate signed by unknown authority",
    "a refusal": "error validating token: permission denied",
    "a wrong password": "wrong password: authentication failed",
    "challenge": 'WWW-Authenticate: Bearer realm="vault"',
    "basic": "basic authentication is not supported",
    "host": "dial tcp: lookup s.internal-cluster-name.example.com: no such host",
    "host of a region": "b.internal-cluster-name-eu-west-1.compute.example.com",
    "URL with a port": "https://vault.example.com:8200/v1/auth/token/lookup-self",
    "UUID": "request_id: 1b671a64-40d5-491e-99b0-da01ff1f3341",
    "role": "role_id=1b671a64-40d5-491e-99b0-da01ff1f3341",
    "accessor": "accessor=hmac-sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "fields of a SecretID": '{"secret_id_accessor":"1b671a64-40d5-491e-99b0-da01ff1f3341","secret_id_ttl":600}',
    "type": '{"token_type": "service", "token_policies": ["default"], "token_ttl": 600}',
    "reference": '{"tokenSecretRef": {"name": "vault-token", "key": "token"}, "renewable": false}',
    "references in YAML": "secretRef:\n  name: approle-secret\n  key: secretId\nsecretName: tls-web\n",
    "serial": "serial=7f:3a:11:0c:de:ad:be:ef:00:01:02:03:04:05:06:07:08:09:0a:0b",
    "digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "image": "quay.io/jetstack/cert-manager-controller:v1.21.2@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "commit": "commit 64565ce0f1d2c3b4a5968778695a4b3c2d1e0f9a of main",
    "public key": EC.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode(),
    "bundle in base64": b64(AUTHORITY.pem),
    "certificate in DER": "".join(AUTHORITY.pem.splitlines()[1:-1]),
    "path": "PUT /v1/auth/kubernetes-0a1b2c3d/login 403",
    "source": "token = self.world.admin.client.token",
    "keyword argument": "Stack(token=token, password=password)",
    "condition": "Ready=False VaultError: 'Failed to initialize Vault client: while requesting a Vault token'",
    "literal": "password=null token=false renew_token=true secret_id=<nil>",
    "names of Go": "cert-manager.io/v1 CertificateRequestConditionInvalidRequest k8s.io.api.CertificateSigningRequest",
    "age key of a list": "features: token, approle, kubernetes-static, jwt",
    "list of features": '["token", "approle", "jwt"]',
}


@pytest.mark.parametrize("text", STAYS.values(), ids=STAYS.keys())
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().redact(text) == text


def test_names_in_the_response_to_a_list_stay() -> None:
    redactor = Redactor()
    answer = {"request_id": "x", "data": {"keys": ["issuer", "7f-3a-11"]}, "wrap_info": None}
    assert redactor.redact_json(answer) == answer
    initialized = redactor.redact_json({"keys": ["abcdefgh"], "keys_base64": ["x"], "root_token": "y"})
    assert re.fullmatch("<secret .{6}>", initialized["keys"][0])


# -- properties ------------------------------------------------------------------------------------------------------

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=12, max_size=60).filter(
    lambda secret: len(re.sub(r"[\s\\]", "", secret)) >= 12
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)
ENCODINGS: dict[str, Frame] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON as it is": lambda s: json.dumps(s, ensure_ascii=False),
    "JSON twice": lambda s: json.dumps(json.dumps(s)),
    "percent": lambda s: urllib.parse.quote(s, safe=""),
    "form": urllib.parse.quote_plus,
    "base64": b64,
    "URL base64": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "wrapped base64": lambda s: wrapped(s, 76),
    "hexadecimal": lambda s: s.encode().hex(),
    "XML": escape,
    "JSON, percent": lambda s: urllib.parse.quote(json.dumps(s), safe=""),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(secret=SECRETS, before=TEXTS, after=TEXTS)
def test_registered_secret_in_any_text_never_survives(encoding: str, secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    encode = ENCODINGS[encoding]
    redacted = redactor.redact(encode(f"{before} {secret} {after}"))
    assert secret not in redacted
    assert encode(secret).strip('"=')[2:-2] not in redacted
    assert "<" in redacted


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    text=st.lists(
        st.one_of(
            TEXTS,
            st.sampled_from([case[2] for case in CASES]),
            st.sampled_from(
                ["token=", "token: ", '"jwt":"', "Bearer ", "\n", " ", '"', "\\", "%", "&", "<secret ", ">"]
            ),
        ),
        max_size=6,
    ).map("".join)
)
def test_redaction_is_idempotent(text: str) -> None:
    redactor = Redactor()
    redacted = redactor.redact(text)
    assert redactor.redact(redacted) == redacted
