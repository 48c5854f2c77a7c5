"""Keeps secrets out of everything a person or a report gets to see.

Two ways work together: values the harness handed out itself are *registered*
and found in every form they may travel in; what it never saw (a token Vault
made, a key in a log) is found by its *shape* or by the name of its field.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
import threading
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography import x509

_SHORTEST = 8
"""A shorter value would be found in the middle of ordinary words."""

_SALT = secrets.token_bytes(16)
"""Per process, so that a fingerprint in a report cannot be looked up in a table of guesses."""

_SECRET_FIELDS = (
    "secret_id", "jwt", "client_token", "token", "password", "private_key", "root_token", "x_vault_token",
    "keys", "keys_b64", "keys_base64", "unseal_key", "unseal_keys", "unseal_keys_b64", "unseal_keys_hex",
    "recovery_keys", "recovery_keys_base64", "authorization", "bearer_token", "access_token", "id_token",
    "refresh_token", "client_secret", "secret_key", "client_key_data", "iam_request_headers",
)  # fmt: skip
_SECRET_HEADERS = frozenset({"x-vault-token", "authorization", "proxy-authorization", "cookie", "set-cookie"})
_PLACEHOLDER = re.compile(r"<(?:secret|private key) [0-9a-f]{6}>|<jwt [^<>]* [0-9a-f]{6}>")


def _plain_name(name: str) -> str:
    """A field's name without case and separators: ``secretId`` and ``secret_id`` are one."""
    return re.sub(r"[-_]", "", name).lower()


_SECRET_FIELD_NAMES = frozenset(map(_plain_name, _SECRET_FIELDS))
_FIELD = "(?:" + "|".join(field.replace("_", "[-_]?") for field in _SECRET_FIELDS) + ")"

# The escaped forms (a literal backslash and "n", or a backslash before a quote) are those of text that was put into a
# JSON string, as structured logs do.
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?P<kind>[A-Z0-9 ]*)PRIVATE KEY-----"
    r"(?:(?:(?!-----BEGIN )[\s\S])*?-----END (?P=kind)PRIVATE KEY-----|(?:[A-Za-z0-9+/=\s]|\\[nr])*)"
)
_PUBLIC_PEM = re.compile(r"-----BEGIN (?P<kind>CERTIFICATE(?: REQUEST)?)-----[^-]*-----END (?P=kind)-----")
_BASE64_PEM = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/_=-]*")
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]*)?")
_VAULT_TOKEN = re.compile(
    r"hv[sbr]\.[A-Za-z0-9_.-]{6,}"
    r"|(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))[sbr]\.[A-Za-z0-9]{24,}(?:\.[A-Za-z0-9]+)?"
)
_NAMED = (
    # Authorization: Bearer abc, also as Go prints a header map: Authorization:[Bearer abc]
    re.compile(
        r"(?i)(authorization[\"'\\]*\s*[:=]\s*[\[\"'\\]*(?:bearer|basic)\s+)(?P<value>[^\s\"'\\,\[\]<][^\s\"'\\,\]]*)"
    ),
    re.compile(r"(?i)(\bbearer\s+)(?P<value>[A-Za-z0-9._~+/=-]{20,})"),
    re.compile(r"(?i)(x-vault-token[\"'\\]*\s*[:=]\s*[\[\"'\\]*)(?P<value>[^\s\"'\\,\[\]<][^\s\"'\\,\]]*)"),
    # A kubeconfig's line of its own; "invalid token: reason" in the middle of a message is none.
    re.compile(
        r"((?:^|(?<=\n)|(?<=\\n))[ \t]*(?:-[ \t]+)?token:[ \t]*[\"']?)"
        r"(?P<value>[^\s\"'\\<]+)(?=[\"']?[ \t\r]*(?:$|\n|\\n))"
    ),
    re.compile(r"(?i)((?:unseal|recovery) key(?: \d+)?:\s*|root token:\s*)(?P<value>[^\s\"'\\<]+)"),
    re.compile(rf"(?i)((?<!\\)\"{_FIELD}\"\s*:\s*\")(?P<value>(?:[^\"\\]|\\.)+)"),
    re.compile(rf"(?i)(\\+\"{_FIELD}\\+\"\s*:\s*\\+\")(?P<value>(?:[^\"\\]|\\(?!\\*\").)+)"),
)
_NAMED_LIST = re.compile(rf"(?i)(?P<head>\\*\"{_FIELD}\\*\"\s*:\s*\[)(?P<items>[^\]]*)(?=\])")
_LIST_ITEM = re.compile(r"[^\s\"\\,][^\"\\,]*")


def decode_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and claims of a JSON web token, *without verifying anything*; None when it is none."""
    parts = token.strip().split(".")
    if len(parts) != 3:
        return None
    decoded = []
    for part in parts[:2]:
        try:
            value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (ValueError, binascii.Error, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        decoded.append(value)
    return decoded[0], decoded[1]


class Redactor:
    """Replaces secrets in texts, headers and JSON by a mark that only tells equal ones apart from others.

    The mark is ``<secret 3fa9c1>``: six hexadecimal digits of a salted hash that differs from process to process.
    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: dict[str, str] = {}
        self._embedded: dict[str, str] = {}

    def add(self, secret: str) -> None:
        """Registers a value that must never be shown; one of fewer than 8 characters is ignored."""
        with self._lock:
            for value in {secret, secret.strip()}:
                if len(value) >= _SHORTEST:
                    self._forms.update(dict.fromkeys(_forms(value), value))
                    self._embedded.update(dict.fromkeys(_embedded_base64(value), value))

    def redact(self, text: str) -> str:
        """The text without registered values, Vault tokens, JWTs, private keys and other credentials.

        Certificates and certificate requests are no secrets but are shortened to their name and serial.
        """
        text = self._registered(text)
        text = _PRIVATE_KEY.sub(lambda match: _mark("private key", match[0]), text)
        text = _BASE64_PEM.sub(lambda match: self._base64_pem(match[0]), text)
        text = _PUBLIC_PEM.sub(lambda match: _short_pem(match[0]), text)
        text = _JWT.sub(lambda match: self._secret(match[0]), text)
        text = _VAULT_TOKEN.sub(lambda match: self._secret(match[0]), text)
        for pattern in _NAMED:
            text = pattern.sub(lambda match: match[1] + self._secret(match["value"]), text)
        return _NAMED_LIST.sub(
            lambda match: match["head"] + _LIST_ITEM.sub(lambda item: self._secret(item[0]), match["items"]), text
        )

    def redact_headers(self, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers in their order; the values of those that carry credentials replaced whatever they are."""
        items = headers.items() if isinstance(headers, Mapping) else headers
        return [(name, self._header(name, value)) for name, value in items]

    def redact_json(self, value: Any) -> Any:
        """A copy of a decoded JSON value: fields named like a secret replaced at any depth, texts redacted.

        In a Kubernetes Secret all of ``data`` and ``stringData`` is replaced.
        """
        return self._json(value, secret=False)

    def _json(self, value: Any, *, secret: bool) -> Any:
        if isinstance(value, str):
            return self._secret(value) if secret and value else self.redact(value)
        if isinstance(value, list | tuple):
            return [self._json(item, secret=secret) for item in value]
        if not isinstance(value, dict):
            return value
        kubernetes_secret = value.get("kind") == "Secret"
        return {
            self.redact(str(key)): (
                {name: self._secret(str(content)) for name, content in item.items()}
                if kubernetes_secret and key in ("data", "stringData") and isinstance(item, dict)
                else self._json(item, secret=_plain_name(str(key)) in _SECRET_FIELD_NAMES)
            )
            for key, item in value.items()
        }

    def _header(self, name: str, value: str) -> str:
        if name.lower() not in _SECRET_HEADERS or not value:
            return self.redact(value)
        scheme, space, credentials = value.partition(" ")
        if space and scheme.lower() in ("bearer", "basic"):
            return f"{scheme} {self._secret(credentials)}"
        return self._secret(value)

    def _registered(self, text: str) -> str:
        # A session registers thousands of forms and a text holds few of them: looking for each is much faster than one
        # pattern of all, which would be made anew after every registration.
        with self._lock:
            exact = {form: value for form, value in self._forms.items() if form in text}
            embedded = {form: value for form, value in self._embedded.items() if form in text}
        # A value inside a longer base64 text shares its first and last characters with its neighbours: these go too.
        patterns = [_any_of(exact)] if exact else []
        if embedded:
            patterns.append(f"[A-Za-z0-9+/_-]?(?P<embedded>{_any_of(embedded)})[A-Za-z0-9+/_-]{{0,2}}={{0,2}}")
        if not patterns:
            return text

        def replace(match: re.Match[str]) -> str:
            value = exact[match[0]] if match[0] in exact else embedded[match["embedded"]]
            if "PRIVATE KEY-----" in value:
                return _mark("private key", value)
            return _describe_jwt(value) or _mark("secret", value)

        return re.sub("|".join(patterns), replace, text)

    def _secret(self, value: str) -> str:
        """The mark of one whole secret; one that is marked already keeps its mark."""
        if _PLACEHOLDER.fullmatch(value):
            return value
        described = _describe_jwt(value)
        if described is not None:
            # A claim may itself hold something registered.
            return self._registered(described)
        return _mark("private key" if "PRIVATE KEY-----" in value else "secret", value)

    def _base64_pem(self, text: str) -> str:
        decoded = _decode_base64(text)
        return _mark("private key", decoded) if "PRIVATE KEY" in decoded else text


def _mark(kind: str, secret: str) -> str:
    plain = secret.replace("\\r", "").replace("\\n", "\n").strip()
    return f"<{kind} {hashlib.sha256(_SALT + plain.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}>"


def _describe_jwt(token: str) -> str | None:
    decoded = decode_jwt(token)
    if decoded is None:
        return None
    claims = decoded[1]
    audience = claims.get("aud", "")
    shown = ",".join(map(str, audience)) if isinstance(audience, list) else str(audience)
    try:
        lifetime = f"{int(claims['exp']) - int(claims['iat'])}s"
    except (KeyError, TypeError, ValueError, OverflowError):
        lifetime = "?"
    fingerprint = _mark("", token)[2:-1]
    text = f"sub={claims.get('sub', '')} aud={shown} exp-iat={lifetime}"
    return f"<jwt {re.sub('[<>]', '', text)} {fingerprint}>"


def _short_pem(pem: str) -> str:
    data = pem.replace("\\r", "").replace("\\n", "\n").encode("ascii", "replace")
    try:
        if b"REQUEST" in data[:40]:
            return f"<certificate request CN={_common_name(x509.load_pem_x509_csr(data).subject)}>"
        certificate = x509.load_pem_x509_certificate(data)
        return f"<certificate CN={_common_name(certificate.subject)} serial={certificate.serial_number:x}>"
    except ValueError:
        return pem


def _common_name(name: x509.Name) -> str:
    values = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(values[0].value) if values else ""


def _decode_base64(text: str) -> str:
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    # A text cut in the middle (a log's limit) still shows what it is: drop the incomplete last group.
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8", "replace")
    except binascii.Error:
        return ""


def _any_of(forms: Iterable[str]) -> str:
    """A pattern of these texts; the longest first, for one secret may be the beginning of another."""
    return "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))


def _forms(secret: str) -> set[str]:
    """The forms in which a value may stand in a text by itself."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {secret, urllib.parse.quote(raw, safe=""), urllib.parse.quote(raw), urllib.parse.quote_plus(raw)}
    for escaped in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        # Go's encoder escapes these three as well.
        html_safe = escaped.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        # Twice: a structured log of a JSON text.
        forms |= {escaped, html_safe, json.dumps(escaped)[1:-1], json.dumps(html_safe)[1:-1]}
    for encoded in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        forms |= {encoded, encoded.rstrip("="), urllib.parse.quote(encoded, safe="")}
    return forms


def _embedded_base64(secret: str) -> set[str]:
    """What the value looks like inside the base64 of a longer text, at each of the three alignments."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = set()
    for offset in range(3):
        # Only characters all six bits of which come from the secret are the same whatever surrounds it.
        first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(bytes(offset) + raw).decode()[first:last])
    return forms
