"""Mistakes at a JWT auth mount."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

AUDIENCES = 'audiences = [*(reference.get("audiences") or []), issuer.audience, issuer.server]'
MOUNT = 'mount = (kubernetes.get("mountPath") or "/v1/auth/kubernetes").strip("/")'
LOGIN = '    return vault.log_in(f"/{mount}/login", {"role": kubernetes["role"], "jwt": jwt})\n'
OWN_TOKEN = Edit(
    "cluster.py",
    "    def _json(self,",
    "    def own_token(self) -> str:\n"
    '        bearer = self._configuration.auth_settings()["BearerToken"]["value"]\n'
    '        return str(bearer.removeprefix("Bearer "))\n\n'
    "    def _json(self,",
)

DEFECTS: tuple[Defect, ...] = (
    defect(
        "jwt-mount-is-a-name",
        "VI-JWT-001",
        "credentials.py",
        MOUNT,
        MOUNT + '\n    mount = mount if "kubernetes" in mount else "v1/auth/jwt"',
        "a mount that is none of the Kubernetes method is taken to be where the JWT method is by default",
        also=("VI-JWT-002", "VI-JWT-003", "VI-JWT-004"),
    ),
    defect(
        "jwt-documented-audience-not-where-others-are",
        "VI-JWT-002",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace("issuer.audience,", 'issuer.audience.replace("vault://", "vault:"),'),
        "a URL without an authority needs no slashes",
        also=("VI-KSECRETLESS-002", "VI-KSECRETLESS-003", "VI-KSECRETLESS-011", "VI-KSECRETLESS-014"),
    ),
    defect(
        "jwt-last-audience-only",
        "VI-JWT-003",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace('*(reference.get("audiences") or [])', '*(reference.get("audiences") or [])[:1]'),
        "one further audience was thought of",
        also=("VI-KSECRETLESS-014",),
    ),
    defect(
        "jwt-server-without-its-port",
        "VI-JWT-004",
        "credentials.py",
        AUDIENCES,
        AUDIENCES.replace("issuer.server]", 'issuer.server.rpartition(":")[0]]'),
        "the server's host, without the port",
        also=("VI-KSECRETLESS-015",),
    ),
    defect(
        "jwt-audience-as-the-role-is-called",
        "VI-JWT-005",
        "credentials.py",
        LOGIN,
        "    try:\n"
        f"    {LOGIN}"
        "    except VaultError as error:\n"
        '        if "audience" not in str(error):\n'
        "            raise\n"
        '        return ""\n',
        "an audience that is not bound is thought to be no refusal",
        Edit("credentials.py", "from .vault import Vault\n", "from .vault import Vault, VaultError\n"),
    ),
    defect(
        "jwt-other-subject-is-no-refusal",
        "VI-JWT-006",
        "credentials.py",
        LOGIN,
        "    try:\n"
        f"    {LOGIN}"
        "    except VaultError as error:\n"
        '        if "sub" not in str(error):\n'
        "            raise\n"
        '        return ""\n',
        "who the token is for is thought to matter only to sign",
        Edit("credentials.py", "from .vault import Vault\n", "from .vault import Vault, VaultError\n"),
    ),
)
