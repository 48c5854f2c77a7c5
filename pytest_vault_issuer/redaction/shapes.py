"""Secrets that have a known shape, or a known name in front of them.

Every pattern is linear: it starts at a boundary that cannot occur inside of it, or it has a bounded length. The time
for a text is therefore proportional to its length.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

SECRET, PRIVATE_KEY, PUBLIC = "secret", "private key", "public"


@dataclass(frozen=True)
class Found:
    """A part of a text that must not be shown.

    :ivar kind: :data:`SECRET`, :data:`PRIVATE_KEY`, or :data:`PUBLIC` for a certificate or a request, which is only
        shortened.
    :ivar value: the secret itself, from which the mark is computed.
    """

    start: int
    end: int
    value: str
    kind: str = SECRET


PLACEHOLDER = r"<(?:secret|private key) [0-9a-f]{6}>|<jwt [^<>]{0,4000} [0-9a-f]{6}>"
_IS_PLACEHOLDER = re.compile(PLACEHOLDER)

# -- shapes ----------------------------------------------------------------------------------------------------------

_KEY_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_BEGIN = re.compile(r"-----BEGIN ")
#: The text after the first line of a truncated key.
_KEY_BODY = re.compile(r"(?:[A-Za-z0-9+/=\s]|\\+[nr]|[A-Z][A-Za-z-]{2,11}: [^\r\n]{0,100}[\r\n])*+(?:\.\.\.|…)?")
_KEY_LINES_ABOVE = re.compile(r"(?:[A-Za-z0-9+/=]|\s|\\|\.\.\.|…)*+")
_PUBLIC_PEM = re.compile(r"-----BEGIN (?P<kind>CERTIFICATE(?: REQUEST)?)-----[^-]*+-----END (?P=kind)-----")

#: Parts in base64 with dots between them; pytest and Vault shorten long ones in the middle ("..." or "…").
_DOTTED = re.compile(
    r"(?<![A-Za-z0-9_.…-])[A-Za-z0-9_-]++={0,2}[.…][A-Za-z0-9_.…-]*+(?:={1,2}[.…][A-Za-z0-9_.…-]*+)*+={0,2}"
)
_VAULT_TOKEN = re.compile(r"hv[sbr]\.[A-Za-z0-9_.…-]{6,}+")
_OLD_VAULT_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?<![A-Za-z0-9]\.)[sbr]\.(?P<body>[A-Za-z0-9_…-]{24,}+)(?P<namespace>(?:\.[A-Za-z0-9]{5,6}(?![A-Za-z0-9]))?)"
)
_AWS_SESSION_TOKEN = re.compile(r"(?<![A-Za-z0-9+/])(?:IQoJb3JpZ2lu|F[wQ]oGZXIvYXdz)[A-Za-z0-9+/=_…-]{20,}+")
_AWS_PAIR = re.compile(
    r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{12,20}[\s\"',:/|}]{1,4}(?P<value>[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/]))"
)
_URL_PASSWORD = re.compile(r"(?:(?<=://)|(?<==))[^\s/@:\"'\\<>]{0,200}:(?P<value>[^\s/@\"'\\<>]{1,200})(?=@)")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{16,}+={0,2}")
_KEY_DER = re.compile(
    rb"\x30(?:\x81.|\x82..|[\x10-\x7f])\x02\x01[\x00\x01](?:\x02|\x04[\x10-\x50]|\x30.\x06)", re.DOTALL
)
_PRIVATE_PEM_BASE64 = "LS0tLS1CRUdJTi"  # -----BEGIN

# -- names -----------------------------------------------------------------------------------------------------------

_NAME = re.compile(
    r"(?i)token|jwt|passw(?:or)?d|passphrase|secret[-_]?id|(?:client[-_]?)?secret[-_]?(?:access[-_]?)?key"
    r"|client[-_]?secret|(?:private|unseal|recovery|root|api)[-_]?key|client[-_]?key[-_]?data|iam[-_]?request[-_]?headers"
    r"|(?:set-)?cookie"
)
#: The same for a name without case and separators, and the words that a whole field name may also contain.
_NAME_END = re.compile(
    "(?:token|jwt|passw(?:or)?d|passphrase|secretid|clientsecret|secret(?:access)?key|(?:private|unseal|recovery|root|api)key"
    "|clientkeydata|iamrequestheaders|(?:unseal|recovery)keys(?:b64|base64|hex)?|keysb64|keysbase64)\\Z"
)
#: A header that carries a credential: any value after it is one.
_HEADER_NAME = re.compile(r"(?i)(?:x-vault-token|x-amz-security-token|cookie)\Z")
#: A value without quotes.
_VALUE = rf"(?P<value>(?:{PLACEHOLDER}|[^\s\"'`\\,;&<>()\[\]{{}}|]|,(?![\s\"']|$|[A-Za-z_.-]{{1,32}}[=:]))++)"
_DOUBLE = r"\"(?P<double>(?:[^\"\\\n]|\\.)++)"
_SINGLE = r"'(?P<single>(?:[^'\\\n]|\\.)++)"
_LITERAL = re.compile(
    r"(?i)(?:true|false|null|nil|none|undefined|unset|empty|redacted|\*+|x+|\.\.\.|0x[0-9a-f]+|[$%{].*|\d{1,4}[smhd]?)\Z"
)

# Text that may follow a name.
_QUOTED = re.compile(
    rf"[\"'\]]{{0,2}}[ \t]{{0,8}}(?:=>|:=|[:=])[ \t]{{0,8}}[\[(]{{0,2}}(?i:[urb]{{0,2}})(?:{_DOUBLE}|{_SINGLE})"
)
_EQUALS = re.compile(rf"[\"']?(?P<gap>[ \t]{{0,2}})=(?!=)[ \t]{{0,2}}\[?{_VALUE}")
_COLON = re.compile(rf"[\"'\]]{{0,2}}:(?P<gap>[ \t]{{0,8}})\[{{0,2}}{_VALUE}(?P<alone>(?=[ \t\r]{{0,8}}(?:\n|\Z)))?")
_BLANK = re.compile(rf"[ \t]{{1,4}}{_VALUE}")
_ELEMENT = re.compile(r"(?:\s[^<>]{0,200})?>(?P<value>[^<>]++)(?=<|\Z)")
_LINE_END = re.compile(r"[ \t\r]*+(?:\n|\Z)")
#: More characters than :data:`_LINE_BEGIN` matches.
_INDENT = 80
_LINE_BEGIN = re.compile(r"(?:\A|\n)[ \t>]{0,60}(?:-[ \t]{1,8})?\Z")
_PAIR = re.compile(
    r"(?i)[\"'](?P<name>x-vault-token|authorization|proxy-authorization|x-amz-security-token|set-cookie|cookie)[\"']"
    rf"\s{{0,4}},\s{{0,4}}(?:{_DOUBLE}|{_SINGLE})"
)
_SECRET_ID_UUID = re.compile(
    r"(?i)secret[-_ ]?id[\"'\s:=(]{1,6}(?P<value>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
_SPOKEN = re.compile(r"(?i)(?:(?:unseal|recovery) key(?: ?\d{1,3})?|root token):[ \t]{0,8}(?P<value>[^\s\"'\\<]++)")
_AUTHORIZATION = re.compile(
    r"(?i)(?P<before>[\"'\[{(,]?)(?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}(?P<open>[\[(\"']{0,3})"
    r"(?:(?P<scheme>bearer|basic|token|vault|negotiate|digest|aws4-hmac-sha256)[ \t]{1,4})?"
    r"(?P<value>[^\s\"'\\,\[\]<>{}]++(?:,? ?(?:SignedHeaders|Signature)=[^\s\"'\\,\[\]<>{}]++)*+)"
)
_BEARER = re.compile(r"(?i)\bbearer[ \t]{1,4}(?P<value>[A-Za-z0-9._~+/=-]{8,}+)")
_BASIC = re.compile(r"(?i)\bbasic[ \t]{1,4}(?P<value>[A-Za-z0-9+/]{8,}+={0,2})")
_SIGNATURE = re.compile(r"(?i)signature=(?P<value>[0-9a-f]{64})(?![0-9a-f])")
_LIST = re.compile(
    r"(?i)[\"'](?P<name>(?:unseal|recovery)[-_]?keys(?:[-_]?(?:b64|base64|hex))?|keys(?:[-_]?(?:b64|base64))?|authorization"
    r"|x-vault-token|(?:set-)?cookie)[\"']\s{0,8}:\s{0,8}\[(?P<items>[^\]]*+)"
)
_ITEM = re.compile(r"[^\s\"'\\,][^\"'\\,]*+")
_KEY_SHARE = re.compile(r"(?:[0-9a-f]{2}){16,}\Z|[A-Za-z0-9+/]{43,}={0,2}\Z")
_INITIALIZED = re.compile(r"(?i)keys[-_]?(?:b64|base64)|root[-_]?token")
_JWK = re.compile(r"\"(?:d|p|q|dp|dq|qi|k)\"\s{0,4}:\s{0,4}\"(?P<value>[A-Za-z0-9_-]{16,}+)")
_SECRET_OBJECT = re.compile(r"[\"']?kind[\"']?\s{0,4}:\s{0,4}[\"']?Secret(?:List)?\b")
_SECRET_DATA = re.compile(r"[\"'](?:data|stringData)[\"']\s{0,4}:\s{0,4}\{(?P<items>[^{}]*+)\}?")
_SECRET_ENTRY = re.compile(r"[\"']\s{0,4}:\s{0,4}(?:\"(?P<double>(?:[^\"\\]|\\.)++)|'(?P<single>(?:[^'\\]|\\.)++))")
_SECRET_YAML = re.compile(
    r"(?m)^(?P<indent> {0,40})(?:data|stringData):[ \t]*\n(?P<items>(?:(?P=indent)[ ]+\S[^\n]*+\n?)++)"
)
_YAML_ENTRY = re.compile(r"(?m)^\s*[\w.-]{1,253}:[ \t]{1,8}[\"']?(?P<value>[^\s\"'|>][^\s\"']*+)")

_UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KNOWN_WORDS = re.compile(
    r"(?i)base64|sha-?\d+|x\.?509|[rhep]s\d{3}|oauth2|utf-?8|pkcs-?\d+|https?|k8s|v\d+(?:alpha\d+|beta\d+)?|ec2|s3|sigv4|aws4"
)
_WORD = re.compile(r"[\w-]{0,60}\Z")


def named_secret(name: str) -> bool:
    """Return whether a field of this name contains a secret: ``secretId``, ``VAULT_TOKEN``, ``AWS_SECRET_KEY``."""
    return _NAME_END.search(re.sub(r"[-_]", "", name).lower()) is not None


def key_shares(names: set[str]) -> bool:
    """Return whether the list ``keys`` beside these fields contains unseal keys; that of a LIST answer does not."""
    return any(_INITIALIZED.search(name) for name in names)


def is_key_share(text: str) -> bool:
    """Return whether an item of a list ``keys`` looks like an unseal key."""
    return _KEY_SHARE.match(text) is not None


def find(text: str, *, depth: int = 2) -> Iterator[Found]:
    """Yield the secrets in a text, in no order, and possibly overlapping.

    :param depth: number of nested base64 layers to decode.
    """
    yield from _keys(text)
    if "-----BEGIN CERT" in text:
        yield from (Found(match.start(), match.end(), match[0], PUBLIC) for match in _PUBLIC_PEM.finditer(text))
    yield from _tokens(text)
    for found in _named(text):
        if not _IS_PLACEHOLDER.fullmatch(found.value) and found.value:
            yield found
    yield from _encoded(text, depth)


def _keys(text: str) -> Iterator[Found]:
    """Yield private keys in PEM: complete, without their end, and without their beginning."""
    if "PRIVATE KEY-----" not in text:
        return
    at = 0
    while begin := _KEY_BEGIN.search(text, at):
        following = _BEGIN.search(text, begin.end())
        limit = following.start() if following else len(text)
        end = _KEY_END.search(text, begin.end(), limit)
        # Without its end, only text that can belong to a key: the rest of the text does not.
        at = end.end() if end else _match_end(_KEY_BODY, text, begin.end(), limit)
        yield Found(begin.start(), at, text[begin.start() : at], PRIVATE_KEY)
    at = 0
    for end in _KEY_END.finditer(text):
        begun = text.rfind("-----BEGIN ", at, end.start())
        if begun < 0 or not _KEY_BEGIN.match(text, begun):
            start = end.start() - _match_end(_KEY_LINES_ABOVE, text[at : end.start()][::-1], 0, end.start() - at)
            # The first line may be part of a log line: only whole lines, except in a truncated text.
            head = text[start : end.start()].lstrip()
            start = end.start() - len(head)
            yield Found(start, end.end(), text[start : end.end()], PRIVATE_KEY)
        at = end.end()


def _match_end(pattern: re.Pattern[str], text: str, start: int, limit: int) -> int:
    match = pattern.match(text, start, limit)
    return match.end() if match else start


def _tokens(text: str) -> Iterator[Found]:
    """Yield JWTs, tokens of Vault and OpenBao, and those of AWS."""
    for run in _DOTTED.finditer(text):
        yield from _jwts(run)
    for match in _VAULT_TOKEN.finditer(text):
        yield _found(match, 0, match[0].rstrip("."))
    for match in _OLD_VAULT_TOKEN.finditer(text):
        body = match["body"]
        # A name in lower case is a host name, not 24 random characters.
        if re.search("[A-Z]", body) or (body.isalnum() and re.search("[0-9]", body)):
            yield _found(match, 0, match[0])
    for match in _AWS_SESSION_TOKEN.finditer(text):
        yield _found(match, 0, match[0])
    for match in _AWS_PAIR.finditer(text):
        yield _found(match, "value")
    if "@" in text:
        yield from (_found(match, "value") for match in _URL_PASSWORD.finditer(text))
    if "ignature=" in text:
        yield from (_found(match, "value") for match in _SIGNATURE.finditer(text))
    for match in _BEARER.finditer(text):
        if _looks_secret(match["value"]):
            yield _found(match, "value")
    for match in _BASIC.finditer(text):
        decoded = _text_of(match["value"])
        if decoded and ":" in decoded:
            yield _found(match, "value")


def _jwts(run: re.Match[str]) -> Iterator[Found]:
    text = run[0].rstrip(".…")
    parts = re.split("[.…]", text)
    offset = 0
    for number, part in enumerate(parts):
        begin = part.find("eyJ")
        if begin >= 0 and len(part) - begin >= 8 and any(len(other) >= 2 for other in parts[number + 1 : number + 4]):
            rest = parts[number + 1 :]
            # Three parts; an encrypted one has five, and a truncated one any number.
            count = 3 if "" not in rest and all(len(other) < 16 for other in rest[2:4]) else len(rest) + 1
            end = offset + len(".".join(parts[number : number + count]))
            yield Found(run.start() + offset + begin, run.start() + end, text[offset + begin : end])
            return
        offset += len(part) + 1


def _named(text: str) -> Iterator[Found]:
    """Yield values behind the name of a secret."""
    # Names inside of a value, secret or not, are not examined separately: the end of a value does not depend on its
    # beginning.
    passed: dict[re.Pattern[str], int] = {}
    covered = 0
    for name in _NAME.finditer(text):
        if name.start() >= covered:
            for found in _behind(name, text, passed):
                covered = max(covered, found.end)
                yield found
    lower = text.lower()
    if "key" in lower or "token" in lower:
        yield from (_found(match, "value") for match in _SPOKEN.finditer(text))
    if "secret" in lower:
        yield from (_found(match, "value") for match in _SECRET_ID_UUID.finditer(text))
    if "authorization" in lower:
        yield from _authorization(text)
    for match in _PAIR.finditer(text):
        yield _found(match, "double" if match["double"] is not None else "single")
    yield from _structured(text)


def _behind(name: re.Match[str], text: str, passed: dict[re.Pattern[str], int]) -> Iterator[Found]:
    """Return the value behind one name, in any of the notations."""
    at = name.end()
    if (match := _QUOTED.match(text, at)) is not None:
        group = "double" if match["double"] is not None else "single"
        if not _LITERAL.match(match[group]):
            yield _found(match, group)
    for pattern, accepted in ((_EQUALS, _after_equals), (_COLON, _after_colon), (_BLANK, _after_blank)):
        if at < passed.get(pattern, 0) or (match := pattern.match(text, at)) is None:
            continue
        if not _LITERAL.match(match["value"]) and accepted(name, match, text):
            yield _found(match, "value")
        else:
            passed[pattern] = match.end()
    if (match := _ELEMENT.match(text, at)) is not None and match["value"].strip():
        before = _before(name, text)[0]
        if _IS_PLACEHOLDER.match(text, max(0, name.start() - 1)):
            return
        if before.endswith("<") or re.search(r"<\w{1,20}:\Z", before):
            yield _found(match, "value")


def _before(name: re.Match[str], text: str) -> tuple[str, str]:
    """Return the text before a name, and the whole name, of which the match may be only the end."""
    before = text[max(0, name.start() - 140) : name.start()]
    word = _WORD.search(before)
    start = word.start() if word else len(before)
    return before[:start], before[start:] + name[0]


def _after_equals(name: re.Match[str], match: re.Match[str], _: str) -> bool:
    # Source code has spaces around it, or passes a variable of the same name.
    return match["value"] != name[0] and (not match["gap"] or _looks_secret(match["value"]))


def _after_colon(name: re.Match[str], match: re.Match[str], text: str) -> bool:
    before, whole = _before(name, text)
    if _HEADER_NAME.search(whole) or _looks_secret(match["value"]):
        return True
    if match["gap"]:  # a line of YAML
        return match["alone"] is not None and _LINE_BEGIN.search(before) is not None
    return whole[:1].isupper() or before[-1:] in ("{", "[")  # a Go struct


def _after_blank(name: re.Match[str], match: re.Match[str], text: str) -> bool:
    return _before(name, text)[1].startswith("-") and _looks_secret(match["value"])


def _authorization(text: str) -> Iterator[Found]:
    """Yield credentials behind ``Authorization``."""
    for match in _AUTHORIZATION.finditer(text):
        value = match["value"]
        if match["scheme"] or match["open"] or _looks_secret(value) or _is_alone(match, text):
            if value.lower() in ("bearer", "basic", "token"):
                continue
            yield _found(match, "value")


def _is_alone(match: re.Match[str], text: str) -> bool:
    """Whether a header stands on a line of its own."""
    before = text[max(0, match.start() - _INDENT) : match.start()]
    return _LINE_BEGIN.search(before) is not None and _LINE_END.match(text, match.end()) is not None


def _structured(text: str) -> Iterator[Found]:
    """Yield lists of keys, private JSON web keys, and the data of Kubernetes Secrets."""
    initialized = _INITIALIZED.search(text) is not None
    for match in _LIST.finditer(text):
        for item in _ITEM.finditer(text, *match.span("items")):
            if match["name"].lower() != "keys" or initialized or is_key_share(item[0]):
                scheme = re.match(r"(?i)(?:bearer|basic)\s+", item[0])
                start = item.start() + (scheme.end() if scheme else 0)
                yield Found(start, item.end(), text[start : item.end()])
    if '"kty"' in text:
        for match in _JWK.finditer(text):
            yield _found(match, "value")
    if _SECRET_OBJECT.search(text):
        for match in _SECRET_DATA.finditer(text):
            for entry in _SECRET_ENTRY.finditer(text, *match.span("items")):
                yield _found(entry, "double" if entry["double"] is not None else "single")
        for match in _SECRET_YAML.finditer(text):
            for entry in _YAML_ENTRY.finditer(text, *match.span("items")):
                yield _found(entry, "value")


def _encoded(text: str, depth: int) -> Iterator[Found]:
    """Yield base64 that contains secrets, and private keys in DER."""
    if not depth:
        return
    for match in _BASE64.finditer(text):
        run = match[0]
        begin = max(run.find(_PRIVATE_PEM_BASE64), 0)
        raw = _decode(run[begin:])
        if _KEY_DER.match(raw):
            yield Found(match.start() + begin, match.end(), run[begin:], PRIVATE_KEY)
            continue
        try:
            inner = raw.decode()
        except UnicodeDecodeError as error:
            if not begin and error.start < len(raw) - 3:
                continue
            inner = raw.decode(
                errors="replace"
            )  # truncated in the middle of a character, or a PEM inside of a longer text
        if any(found.kind != PUBLIC for found in find(inner, depth=depth - 1)):
            private = "PRIVATE KEY-----" in inner
            yield Found(
                match.start() + begin, match.end(), inner if private else run, PRIVATE_KEY if private else SECRET
            )


def _decode(text: str) -> bytes:
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    # A text that is truncated in the middle (the limit of a log) can still be decoded: drop the incomplete last group.
    if len(plain) % 4 == 1:
        plain = plain[:-1]
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error:
        return b""


def _text_of(text: str) -> str:
    """Return the text that a base64 text encodes, '' if it is not text."""
    try:
        decoded = _decode(text).decode()
    except UnicodeDecodeError:
        return ""
    return decoded if decoded.isprintable() else ""


def _looks_secret(value: str) -> bool:
    """Return whether a word in prose is a secret rather than a word: ``token: expired`` contains none."""
    if _IS_PLACEHOLDER.match(value):
        return False
    if _UUID.search(value):
        return True
    plain = _KNOWN_WORDS.sub("", value).strip(".,:;!?")
    if len(plain) < 8:
        return False
    letters, digits = re.search("[A-Za-z]", plain), re.search("[0-9]", plain)
    mixed = len(plain) >= 20 and re.search("[a-z][A-Z]", plain[1:]) and re.search("[A-Z]{2}|[+/=]", plain)
    return bool((letters and digits) or mixed)


def _found(match: re.Match[str], group: str | int, value: str | None = None) -> Found:
    value = match[group] if value is None else value
    return Found(match.start(group), match.start(group) + len(value), value)
