"""Mistakes with an AppRole."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

MOUNT = 'mount = (app_role.get("path") or "approle").strip("/")'
READ = '    secret_id = read_secret(cluster, issuer.resource_namespace, reference["name"], reference["key"])\n'
CREDENTIALS = 'credentials = {"role_id": app_role["roleId"].strip(), "secret_id": secret_id.strip()}'
LOGIN = '    return vault.log_in(f"/v1/auth/{mount}/login", credentials)\n'
ENCODED = '    encoded = (secret.get("data") or {}).get(key)\n'
NO_TOKEN = "        if not isinstance(token, str) or not token:\n"
GOT = '        token = (answer.get("auth") or {}).get("client_token")\n'
EVERY_LOGIN = ("VI-KSTATIC-007", "VI-KSECRETLESS-016")

DEFECTS: tuple[Defect, ...] = (
    defect(
        "approle-last-segment-of-the-mount",
        "VI-APPROLE-001",
        "credentials.py",
        MOUNT,
        'mount = (app_role.get("path") or "approle").strip("/").rpartition("/")[2]',
        "a path such as auth/approle is cut down to the mount's name, and any other path too",
    ),
    defect(
        "approle-mount-as-it-is-named-first",
        "VI-APPROLE-001",
        "credentials.py",
        MOUNT,
        'mount = (app_role.get("path") or "approle").strip("/").split("/")[0]',
        "what is behind the mount's name is taken for the rest of the login's path",
    ),
    defect(
        "approle-usual-key-preferred",
        "VI-APPROLE-001",
        "credentials.py",
        READ,
        "    try:\n"
        '        secret_id = read_secret(cluster, issuer.resource_namespace, reference["name"], "secretId")\n'
        "    except CredentialError:\n"
        f"    {READ}",
        "the usual key is looked for first",
        also=("VI-APPROLE-003",),
    ),
    defect(
        "approle-role-id-in-the-secret",
        "VI-APPROLE-001",
        "credentials.py",
        f"    {CREDENTIALS}\n",
        f"    {CREDENTIALS}\n"
        "    try:\n"
        '        credentials["role_id"] = read_secret(\n'
        '            cluster, issuer.resource_namespace, reference["name"], "roleId"\n'
        "        ).strip()\n"
        "    except CredentialError:\n"
        "        pass\n",
        "a Secret that holds both is convenient, and wins over the specification",
    ),
    defect(
        "approle-default-mount-for-nothing-only",
        "VI-APPROLE-002",
        "credentials.py",
        MOUNT,
        'mount = app_role.get("path", "approle").strip("/")',
        "the API server's objects have the field, though empty",
    ),
    defect(
        "approle-mount-required",
        "VI-APPROLE-002",
        "configuration.py",
        '    _check_segments(app_role.get("path") or "", "auth.appRole.path")\n',
        '    _require(app_role.get("path"), "auth.appRole.path is empty")\n'
        '    _check_segments(app_role.get("path") or "", "auth.appRole.path")\n',
        "the schema has the field among those that have to be there",
    ),
    defect(
        "approle-usual-key-instead-of-a-missing-one",
        "VI-APPROLE-003",
        "secret_values.py",
        ENCODED,
        '    data = secret.get("data") or {}\n    encoded = data.get(key, data.get("secretId"))\n',
        "a key that is missing is taken for one that was not named",
    ),
    defect(
        "approle-usual-key-instead-of-an-empty-one",
        "VI-APPROLE-003",
        "secret_values.py",
        ENCODED,
        '    data = secret.get("data") or {}\n    encoded = data.get(key) or data.get("secretId")\n',
        "`or` where only a missing key was meant, and not that either",
    ),
    defect(
        "approle-last-secret-id",
        "VI-APPROLE-003",
        "credentials.py",
        READ,
        '    place = (issuer.resource_namespace, app_role["roleId"])\n'
        "    try:\n"
        f"    {READ}"
        "    except CredentialError:\n"
        "        secret_id = _secret_ids.get(place, '')\n"
        "    _secret_ids[place] = secret_id\n",
        "a SecretID that cannot be read for a moment is bridged with the last one",
        Edit(
            "credentials.py",
            "TOKEN_SECONDS = 600\n",
            "TOKEN_SECONDS = 600\n_secret_ids: dict[tuple[str, str], str] = {}\n",
        ),
        also=("VI-ROTATION-003", "VI-ROTATION-004", "VI-ROTATION-008"),
    ),
    defect(
        "login-answered-with-204",
        "VI-APPROLE-004",
        "vault.py",
        '        if status != 200:\n            raise _refusal("the login", status, answer)\n',
        '        if status == 204:\n            return ""\n'
        '        if status != 200:\n            raise _refusal("the login", status, answer)\n',
        "204 is a success",
        also=EVERY_LOGIN,
    ),
    defect(
        "approle-white-space-around-the-secret-id",
        "VI-APPROLE-005",
        "credentials.py",
        CREDENTIALS,
        'credentials = {"role_id": app_role["roleId"].strip(), "secret_id": secret_id}',
        "one of the two values is cut",
    ),
    defect(
        "approle-white-space-around-the-role-id",
        "VI-APPROLE-005",
        "credentials.py",
        CREDENTIALS,
        'credentials = {"role_id": app_role["roleId"], "secret_id": secret_id.strip()}',
        "one of the two values is cut",
    ),
    defect(
        "approle-login-remembered",
        "VI-APPROLE-006",
        "credentials.py",
        LOGIN,
        "    login = (mount, *credentials.values())\n"
        "    if login not in _logins:\n"
        '        _logins[login] = vault.log_in(f"/v1/auth/{mount}/login", credentials)\n'
        "    return _logins[login]\n",
        "the same login is not made twice",
        Edit(
            "credentials.py",
            "TOKEN_SECONDS = 600\n",
            "TOKEN_SECONDS = 600\n_logins: dict[tuple[str, ...], str] = {}\n",
        ),
    ),
    defect(
        "approle-login-remembered-for-a-while",
        "VI-APPROLE-006",
        "credentials.py",
        LOGIN,
        '    login = (mount, credentials["role_id"])\n'
        "    made, token = _logins.get(login, (0.0, ''))\n"
        "    if time.monotonic() - made > 60:\n"
        "        made = time.monotonic()\n"
        '        token = vault.log_in(f"/v1/auth/{mount}/login", credentials)\n'
        "        _logins[login] = made, token\n"
        "    return token\n",
        "a token that lives for an hour is good for a minute at least",
        Edit(
            "credentials.py",
            "TOKEN_SECONDS = 600\n",
            "TOKEN_SECONDS = 600\n_logins: dict[tuple[str, str], tuple[float, str]] = {}\n",
        ),
        Edit("credentials.py", "from typing import Any\n", "import time\nfrom typing import Any\n"),
        also=("VI-ROTATION-001",),
    ),
)
