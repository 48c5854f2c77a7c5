"""Keeps secrets out of all output.

Two methods work in combination. Values that the suite created are *registered* and found in every encoding. Other
secrets (a token that Vault created, a key in a log) are found by their *shape* or by the name of their field
(:mod:`.shapes`). Both search the text as written and with its escapes decoded (:mod:`.views`).

Redact first: before a text is shortened, compared, encoded, or sent to another process. Half a secret has no shape.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import contextlib
import hashlib
import json
import os
import re
import secrets
import string
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from . import shapes as secret_shapes
from .shapes import PRIVATE_KEY, PUBLIC, Found
from .views import View, decoded, views

_SHORTEST = 8
"""A shorter value would occur inside ordinary words."""
_PIECE = 32
"""This many characters in a row of a registered value are a secret too: pytest and logs cut values anywhere."""
_GRAM = 8
"""Characters by which a text is searched for all registered forms at once."""
_STEP = 16
_LONGEST = 32_768
"""More characters than a secret has, in any encoding: a key of RSA 4096 in base64, twice."""

_SALT = secrets.token_bytes(16)
"""Per process, so that a fingerprint in a report cannot be looked up in a table of guesses."""

_SECRET_HEADERS = frozenset(
    {"x-vault-token", "authorization", "proxy-authorization", "cookie", "set-cookie", "x-amz-security-token"}
)
#: A UUID or a key in hexadecimal: the same value in upper and in lower case.
_HEX = re.compile("(?i)[0-9a-f-]+")
_PLACEHOLDER = re.compile(secret_shapes.PLACEHOLDER)
# Whitespace wraps and indents, backslashes escape, UTF-16 has a NUL beside each letter, and base64 has two alphabets.
_DROPPED = frozenset(string.whitespace + "\\\0")
_CANONICAL = str.maketrans(dict.fromkeys(_DROPPED, "") | {"-": "+", "_": "/"})


def decode_jwt(token: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Return header and claims of a JSON web token *without verification*, or None if it is not one."""
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
    """Replaces secrets in texts, headers and JSON with fingerprints: equal secrets have equal fingerprints.

    The mark is ``<secret 3fa9c1>``: six hexadecimal digits of a salted hash that differs from process to process.
    Safe to use from several threads.

    :param store: a file that the redactors of several processes share. Each of them knows the secrets that any of them
        registered, even after a crash. It is written as soon as its directory exists, and only the user can read it.
    """

    def __init__(self, store: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._index = _Index()
        self._store = store
        self._unwritten: list[str] = []
        self._read = 0

    def add(self, secret: str) -> None:
        """Register a secret. A value of fewer than 8 characters is ignored."""
        with self._lock:
            if self._register(secret) and self._store is not None:
                self._unwritten.append(secret)
                self._write()

    def redact(self, text: str) -> str:
        """Return the text without registered values, Vault tokens, JWTs, private keys and other credentials.

        Certificates and certificate requests are not secret, but are shortened to their name and serial number.
        The time is proportional to the length of the text.
        """
        if len(text) < _SHORTEST and not any(mark in text for mark in ":="):
            return text
        pieces, at = [], 0
        for start, end, mark in self._marks(text):
            pieces += [text[at:start], mark]
            at = end
        return "".join([*pieces, text[at:]]) if pieces else text

    def redact_end(self, text: str, characters: int) -> str:
        """Return the end of a text, redacted, from the beginning of a line; the whole text if it is short.

        The cut may leave the rest of a secret that has no shape any more. Therefore the first lines after it are
        redacted, and then left out.

        :param characters: about how many to return; the redaction of more would take long.
        """
        if len(text) <= characters + _LONGEST:
            return self.redact(text)
        end = self.redact(text[-characters - _LONGEST :])[_LONGEST:]
        return end.partition("\n")[2]

    def redact_headers(self, headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return the headers in their order. The value of a header that carries credentials is always replaced."""
        items = headers.items() if isinstance(headers, Mapping) else headers
        return [(name, self._header(name, value)) for name, value in items]

    def redact_json(self, value: Any) -> Any:
        """Return a copy of a decoded JSON value: secret fields are replaced at any depth, and texts are redacted.

        In a Kubernetes Secret, all of ``data`` and ``stringData`` is replaced.
        """
        return self._json(value, secret=False)

    # -- registered values ---------------------------------------------------------------------------------------------

    def _register(self, secret: str) -> bool:
        new = {value for value in (secret, secret.strip()) if len(value) >= _SHORTEST} - self._values
        for value in new:
            self._values.add(value)
            self._index.add(value)
        return bool(new)

    def _write(self) -> None:
        """Append the secrets that this process registered to the store, for the other processes."""
        assert self._store is not None
        # This ends a line that another process could not finish, such as on a full disk.
        content = "".join(f"\n{json.dumps(secret)}\n" for secret in self._unwritten).encode()
        # If the directory does not exist yet, or the disk is full, the next value tries again.
        with contextlib.suppress(OSError):
            descriptor = os.open(self._store, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                if os.write(descriptor, content) == len(content):
                    self._unwritten.clear()
            finally:
                os.close(descriptor)

    def _catch_up(self) -> None:
        """Register the secrets that other processes stored, and store those that could not be written before."""
        if self._store is None:
            return
        if self._unwritten:
            self._write()
        with contextlib.suppress(OSError):
            if self._store.stat().st_size <= self._read:
                return
            with self._store.open("rb") as file:
                file.seek(self._read)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):
                    if isinstance(secret := json.loads(line or b"null"), str):
                        self._register(secret)

    # -- texts ---------------------------------------------------------------------------------------------------------

    def _marks(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield each secret in a text as (start, end, mark), in order and without overlaps."""
        group: list[tuple[int, int, Found]] = []
        end = 0
        for start, stop, found in sorted(self._found(text), key=lambda item: item[:2]):
            if group and start >= end:
                yield group[0][0], end, self._mark_of(group)
                group = []
            group.append((start, stop, found))
            end = max(end, stop) if len(group) > 1 else stop
        if group:
            yield group[0][0], end, self._mark_of(group)

    def _found(self, text: str) -> list[tuple[int, int, Found]]:
        """Return what any view of a text contains, with its position in the text itself."""
        found: list[tuple[int, int, Found]] = []
        with self._lock:
            self._catch_up()
            for view in views(text):
                found += [(*view.origin(f.start, f.end), f) for f in self._index.find(view)]
                found += [(*view.origin(f.start, f.end), f) for f in secret_shapes.find(view.text) if f.end > f.start]
        marks = [match.span() for match in _PLACEHOLDER.finditer(text) if not match[0].startswith("<jwt")]
        starts = [start for start, _ in marks]

        def is_marked(start: int, end: int) -> bool:
            before = bisect.bisect_right(starts, start)
            return before > 0 and end <= marks[before - 1][1]

        return [item for item in found if not is_marked(item[0], item[1])] if marks else found

    def _mark_of(self, group: list[tuple[int, int, Found]]) -> str:
        """Return the mark of overlapping secrets: that of the longest."""
        *_, found = max(group, key=lambda item: (item[1] - item[0], item[2].kind != PUBLIC))
        if found.kind == PUBLIC:
            return self._shown(_short_pem(found.value))
        return self._secret(found.value) if found.kind != PRIVATE_KEY else _mark(PRIVATE_KEY, found.value)

    def _secret(self, value: str) -> str:
        """Return the mark of one whole secret; an existing mark is kept."""
        if _PLACEHOLDER.fullmatch(value):
            return value
        described = _describe_jwt(value)
        if described is not None:
            return self._shown(described)
        return _mark(PRIVATE_KEY if "PRIVATE KEY-----" in value else "secret", value)

    def _shown(self, described: str) -> str:
        """Return the replacement of a JWT or a certificate, in which a claim or a name may itself contain a secret."""
        inner = described.removeprefix("<").removesuffix(">")
        return f"<{re.sub('[<>]', '', self.redact(inner))}>" if described.startswith("<") else described

    # -- structures ----------------------------------------------------------------------------------------------------

    def _json(self, value: Any, *, secret: bool, of_secrets: bool = False) -> Any:
        if isinstance(value, str):
            return self._secret(value) if secret and value else self.redact(value)
        if isinstance(value, list | tuple):
            return [self._json(item, secret=secret, of_secrets=of_secrets) for item in value]
        if not isinstance(value, dict):
            return value
        kubernetes_secret = value.get("kind") == "Secret" or (of_secrets and "data" in value)
        names = set(map(str, value))
        return {
            self.redact(str(key)): (
                {name: self._secret(str(content)) for name, content in item.items()}
                if kubernetes_secret and key in ("data", "stringData") and isinstance(item, dict)
                else self._keys(item, names)
                if key == "keys" and isinstance(item, list)
                else self._json(
                    item,
                    secret=secret_shapes.named_secret(str(key)) or str(key).lower() in _SECRET_HEADERS,
                    of_secrets=value.get("kind") == "SecretList" and key == "items",
                )
            )
            for key, item in value.items()
        }

    def _keys(self, items: list[Any], names: set[str]) -> list[Any]:
        """Redact a list ``keys``: of unseal keys, or of the names in the answer to a LIST."""
        shares = secret_shapes.key_shares(names)
        return [
            self._json(item, secret=shares or (isinstance(item, str) and secret_shapes.is_key_share(item)))
            for item in items
        ]

    def _header(self, name: str, value: str) -> str:
        if name.lower() not in _SECRET_HEADERS or not value:
            return self.redact(value)
        scheme, space, credentials = value.partition(" ")
        if space and scheme.lower() in ("bearer", "basic"):
            return f"{scheme} {self._secret(credentials)}"
        return self._secret(value)


class _Index:
    """The registered values in all forms, indexed by eight characters of each.

    A text is searched once, however many values there are.
    """

    def __init__(self) -> None:
        self._forms: dict[str, list[_Form]] = {}
        self._pieces: dict[str, list[tuple[_Form, int]]] = {}
        self._short: dict[str, str] = {}

    def add(self, value: str) -> None:
        """Add a value in all its forms."""
        spellings = {value, value.replace(" ", "+"), *((value.upper(), value.lower()) if _HEX.fullmatch(value) else ())}
        plain = {_canonical(text) for spelled in spellings for text in decoded(spelled)}
        embedded = {_canonical(form) for form in _embedded_base64(value)} - plain
        for forms, inside in ((plain, False), (embedded, True), (map(_canonical, _numbers(value)), False)):
            for text in forms:
                if len(text) < _GRAM:
                    continue
                at = (len(text) - _GRAM) // 2  # the ends of values are often alike: -----BEGIN, eyJ
                self._forms.setdefault(text[at : at + _GRAM], []).append(_Form(text, at, value, inside))
        if len(_canonical(value)) < _GRAM:
            self._short[value] = value
        self._add_pieces(_Form(_canonical(value), 0, value, False))

    def _add_pieces(self, form: _Form) -> None:
        # Text that many values share does not identify one: the head of a JWT, and the first and last line of a key.
        first = form.text.rfind(".") + 1 if form.text.startswith("eyJ") else 0
        for at in range(first, len(form.text) - _GRAM + 1, _STEP):
            gram = form.text[at : at + _GRAM]
            if len(form.text) > _PIECE and "+++" not in gram and "KEY" not in gram:
                self._pieces.setdefault(gram, []).append((form, at))

    def find(self, view: View) -> Iterator[Found]:
        """Yield the positions of registered values in a view."""
        for short, value in self._short.items():
            for match in re.finditer(re.escape(short), view.text):
                yield Found(match.start(), match.end(), value)
        if not self._forms:
            return
        text = _canonical(view.text)
        spans = list(self._spans(text))
        if not spans:
            return
        # Only now are the positions of the canonical text in the view needed.
        places = [at for at, character in enumerate(view.text) if character not in _DROPPED]
        for start, end, form in spans:
            first, last = places[start], places[end - 1] + 1
            if form.inside:
                # Its first and last characters are shared with the neighbors.
                first -= first > 0 and _is_base64(view.text[first - 1])
                tail = re.compile("[A-Za-z0-9+/_-]{0,2}={0,2}").match(view.text, last)
                last = tail.end() if tail else last
            yield Found(first, last, form.value, _kind(form.value))

    def _spans(self, text: str) -> Iterator[tuple[int, int, _Form]]:
        forms, pieces = self._forms, self._pieces
        covered: dict[int, int] = {}
        for at in range(len(text) - _GRAM + 1):
            gram = text[at : at + _GRAM]
            if gram in forms:
                for form in forms[gram]:
                    start = at - form.at
                    if start >= 0 and text.startswith(form.text, start):
                        covered[id(form.value)] = start + len(form.text)
                        yield start, start + len(form.text), form
            if gram in pieces:
                for form, offset in pieces[gram]:
                    if covered.get(id(form.value), 0) > at:
                        continue
                    start, end = _extended(text, at, form.text, offset)
                    covered[id(form.value)] = end
                    if end - start >= _PIECE:
                        yield start, end, form


@dataclass(frozen=True, slots=True)
class _Form:
    """A form of a registered value.

    :ivar at: position of the characters by which it is indexed.
    :ivar inside: whether it is the value as part of the base64 of a longer text.
    """

    text: str
    at: int
    value: str
    inside: bool


def _canonical(text: str) -> str:
    return text.translate(_CANONICAL)


def _is_base64(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character in "+/_-")


def _kind(value: str) -> str:
    return PRIVATE_KEY if "PRIVATE KEY-----" in value else secret_shapes.SECRET


def _extended(text: str, at: int, form: str, offset: int) -> tuple[int, int]:
    """Return how far a text and a form are equal around a position of each."""
    start, first = at, offset
    while start > 0 and first > 0 and text[start - 1] == form[first - 1]:
        start, first = start - 1, first - 1
    end, last = at, offset
    while end < len(text) and last < len(form) and text[end] == form[last]:
        end, last = end + 1, last + 1
    return start, end


def _numbers(secret: str) -> set[str]:
    """Return a value as the numbers of its bytes: in hexadecimal, and as Go prints a slice of bytes."""
    raw = secret.encode("utf-8", "surrogatepass")
    forms = {" ".join(map(str, raw)), ",".join(map(str, raw))}
    for between in ("", ":"):
        forms |= {raw.hex(between) if between else raw.hex(), (raw.hex(between) if between else raw.hex()).upper()}
    return forms


def _embedded_base64(secret: str) -> set[str]:
    """Return the value as it appears inside the base64 of a longer text, at each of the three alignments."""
    forms = set()
    for spelled in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}:
        raw = spelled.encode("utf-8", "surrogatepass")
        for offset in range(3):
            # Only characters whose six bits all come from the secret do not depend on the neighboring text.
            first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
            forms.add(base64.b64encode(bytes(offset) + raw).decode()[first:last])
    return forms


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
