"""Mistakes with the login of a service account."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

LOGIN = '    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n'
#: The same, where an answer without a token is taken for one with an empty token: on a condition.
TOKENLESS = (
    '    try:\n        return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n'
    '    except UnusableAnswerError:\n        if CONDITION:\n            return ""\n        raise\n'
)
IMPORT = Edit("credentials.py", "from .vault import Vault\n", "from .vault import UnusableAnswerError, Vault\n")

DEFECTS: tuple[Defect, ...] = (
    defect(
        "login-without-a-token-taken-with-a-stored-jwt",
        "VI-KSTATIC-007",
        "credentials.py",
        LOGIN,
        TOKENLESS.replace("CONDITION", "reference"),
        "a login that was not refused is taken for one that gave a token",
        IMPORT,
    ),
    defect(
        "login-without-a-token-taken-with-a-requested-jwt",
        "VI-KSECRETLESS-016",
        "credentials.py",
        LOGIN,
        TOKENLESS.replace("CONDITION", "not reference"),
        "a login that was not refused is taken for one that gave a token",
        IMPORT,
    ),
    defect(
        "jwt-with-a-line-break-refused",
        "VI-KSTATIC-008",
        "credentials.py",
        LOGIN,
        '    if jwt != jwt.strip():\n        raise CredentialError("the token is no JWT")\n' + LOGIN,
        "a JWT is checked to the letter, and a Secret made with echo has one letter more",
        Edit(
            "credentials.py",
            'jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], key).strip()',
            'jwt = read_secret(cluster, issuer.resource_namespace, reference["name"], key)',
        ),
    ),
)
