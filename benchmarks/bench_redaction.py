"""Measures how the time of redaction grows: for each pathological piece, the times of n, 2n and 4n characters.

python benchmarks/bench_redaction.py [CHARACTERS]

The ratios are about 2 where redaction is linear, and about 4 where it is quadratic.
"""

from __future__ import annotations

import argparse
import json
import secrets
import time

from pytest_vault_issuer.redaction.redactor import Redactor

PIECES = {
    "prose": "the issuer is not Ready because its Vault said: invalid token: permission denied\n",
    "log": '{"level":"error","msg":"login failed: {\\"secret_id\\":\\"1b671a64\\"}","url":"https://v:8200/v1/x?a=%20b"}\n',
    "heads of JWTs": "eyJ",
    "heads of JWTs with dots": "eyJabcdef.",
    "dots": ".",
    "parts": "a.",
    "base64": "QUJDREVG",
    "lines of base64": "QUJDREVG" * 8 + "\n",
    "beginnings of keys": "-----BEGIN PRIVATE KEY-----\n",
    "ends of keys": "-----END PRIVATE KEY-----\n",
    "lines and ends of keys": "QUJD\n-----END PRIVATE KEY-----\n",
    "beginnings of base64 keys": "LS0tLS1CRUdJTi",
    "beginnings of certificates": "-----BEGIN CERTIFICATE-----\n",
    "Vault tokens": "hvs.",
    "old Vault tokens": "s.",
    "names": "token",
    "names and separators": "token: ",
    "names and signs": "token=",
    "names and quotes": 'token="',
    "names and escapes": '\\"token\\":\\"',
    "dashes": "--token",
    "words and dashes": "a-",
    "blanks": " ",
    "empty lines": "\n",
    "tags": "<a",
    "marks": "<jwt ",
    "brackets": '{"keys":[',
    "Secrets": '{"kind":"Secret","data":{',
    "authorization": "authorization: bearer ",
    "lines of authorization": "authorization: abc\n",
    "marks and tokens": "<secret 3fa9c1> hvs.CAESIcanarycanary1\n",
    "signatures": "authorization: x Signature=",
    "URLs": "://a:",
    "backslashes": "\\",
    "percent": "%25",
    "entities": "&amp;",
    "registered": "",
    "parts of registered": "",
}


def seconds(redactor: Redactor, text: str) -> float:
    """Return the least of three times."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        redactor.redact(text)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("characters", nargs="?", type=int, default=45_000)
    n = parser.parse_args().characters
    redactor = Redactor()
    known = [f"hvs.{secrets.token_urlsafe(70)}" for _ in range(500)]
    for secret in known:
        redactor.add(secret)
    pieces = PIECES | {
        "registered": json.dumps(known),
        "parts of registered": "".join(secret[20:60] for secret in known),
    }
    print(f"{'piece':<28}{'ms':>9}{'2n / n':>9}{'4n / 2n':>9}   n = {n} characters, 500 registered values")
    for name, piece in pieces.items():
        text = piece * (4 * n // len(piece) + 1)
        once, twice, four = (seconds(redactor, text[: n * factor]) for factor in (1, 2, 4))
        print(f"{name:<28}{once * 1000:>9.1f}{twice / once:>9.2f}{four / twice:>9.2f}")


if __name__ == "__main__":
    main()
