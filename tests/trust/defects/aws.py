"""Mistakes with AWS IAM."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

MOUNT = 'mount = (aws.get("mountPath") or "/v1/auth/aws").strip("/")'
WEB_IDENTITY = '    web_identity = _request_token_for_sts(cluster, issuer, aws["serviceAccountRef"])\n'
LOGIN = 'return vault.log_in(f"/{mount}/login", {"role": aws["role"]} | signed)'
WANTED = 'wanted = [STS_AUDIENCE, *(account.get("audiences") or [])]'
REGION = "    return configured or environment or DEFAULT_REGION\n"
REFUSED = "        raise CredentialError(f\"no token of {account['name']} for AWS STS: {error}\") from error\n"
IMPORT = "from .vault import Vault\n"

DEFECTS: tuple[Defect, ...] = (
    defect(
        "aws-last-segment-of-the-mount",
        "VI-AWS-001",
        "credentials.py",
        MOUNT,
        'mount = "v1/auth/" + (aws.get("mountPath") or "aws").strip("/").rpartition("/")[2]',
        "the mount's name is taken from the path, without what it is mounted below",
    ),
    defect(
        "aws-mount-with-v1-twice",
        "VI-AWS-001",
        "credentials.py",
        LOGIN,
        LOGIN.replace('f"/{mount}', 'f"/v1/{mount}'),
        "the whole path is put behind /v1, as cert-manager 1.21 does",
        also=("VI-AWS-002",),
    ),
    defect(
        "aws-default-mount-without-v1",
        "VI-AWS-002",
        "credentials.py",
        MOUNT,
        MOUNT.replace('"/v1/auth/aws"', '"/auth/aws"'),
        "paths are written without /v1 elsewhere",
    ),
    defect(
        "aws-role-is-the-aws-role",
        "VI-AWS-003",
        "credentials.py",
        LOGIN,
        LOGIN.replace('aws["role"]', 'aws["iamRoleArn"].rpartition("/")[2]'),
        "Vault's role is taken to be called as the AWS role, as it is where none is named",
        also=(
            "VI-AWS-001",
            "VI-AWS-006",
            "VI-AWS-007",
            "VI-AWS-008",
        ),
    ),
    defect(
        "aws-session-token-not-signed",
        "VI-AWS-003",
        "aws.py",
        '        "X-Amz-Security-Token": credentials.session_token,\n',
        "",
        "credentials that do not end need no session token",
        also=("VI-AWS-001", "VI-AWS-006", "VI-AWS-007", "VI-AWS-008"),
    ),
    defect(
        "aws-audience-of-the-issuer",
        "VI-AWS-004",
        "credentials.py",
        WANTED,
        'wanted = [issuer.audience, *(account.get("audiences") or [])]',
        "the audience is that of the login at a Kubernetes mount, so that STS lets no role be assumed",
        also=(
            "VI-AWS-001",
            "VI-AWS-002",
            "VI-AWS-003",
            "VI-AWS-005",
            "VI-AWS-006",
            "VI-AWS-007",
            "VI-AWS-008",
            "VI-AWS-012",
        ),
    ),
    defect(
        "aws-account-in-default",
        "VI-AWS-004",
        "credentials.py",
        '        return cluster.create_token(issuer.resource_namespace, account["name"], wanted, TOKEN_SECONDS)\n',
        '        namespace = issuer.namespace or "default"\n'
        '        return cluster.create_token(namespace, account["name"], wanted, TOKEN_SECONDS)\n',
        "what is in no namespace is taken to be in `default`",
        also=("VI-AWS-001", "VI-AWS-003", "VI-AWS-006", "VI-AWS-012"),
    ),
    defect(
        "aws-audiences-replace-that-of-sts",
        "VI-AWS-005",
        "credentials.py",
        WANTED,
        'wanted = account.get("audiences") or [STS_AUDIENCE]',
        "audiences that are listed are taken for all there are",
    ),
    defect(
        "aws-audiences-overlooked",
        "VI-AWS-005",
        "credentials.py",
        WANTED,
        "wanted = [STS_AUDIENCE]",
        "STS wants one audience only",
    ),
    defect(
        "aws-server-id-not-signed",
        "VI-AWS-006",
        "aws.py",
        "    if server_id:\n"
        "        headers[SERVER_ID_HEADER] = server_id\n"
        '    headers["Authorization"] = authorization(credentials, region, time, headers)\n',
        '    headers["Authorization"] = authorization(credentials, region, time, headers)\n'
        "    if server_id:\n"
        "        headers[SERVER_ID_HEADER] = server_id\n",
        "the header is added to what is signed already",
    ),
    defect(
        "aws-region-of-the-environment",
        "VI-AWS-007",
        "aws.py",
        REGION,
        "    return environment or DEFAULT_REGION\n",
        "the client library's own region is used",
    ),
    defect(
        "aws-signed-for-the-global-region",
        "VI-AWS-007",
        "credentials.py",
        'signed = login_data(identity, region, aws.get("vaultHeaderValue"))',
        'signed = login_data(identity, "us-east-1", aws.get("vaultHeaderValue"))',
        "Vault's own default is used for the login, and the region for STS only",
    ),
    defect(
        "aws-another-default-region",
        "VI-AWS-008",
        "aws.py",
        REGION,
        '    return configured or "us-west-2"\n',
        "the region of the author's own account, and no look at the environment",
    ),
    defect(
        "aws-login-with-the-own-account",
        "VI-AWS-009",
        "credentials.py",
        REFUSED,
        "        if error.code == 403:\n            return cluster.own_token()\n" + REFUSED,
        "without the Role it is tried with the own service account's token",
        Edit(
            "cluster.py",
            "    def _json(self,",
            "    def own_token(self) -> str:\n"
            '        bearer = self._configuration.auth_settings()["BearerToken"]["value"]\n'
            '        return str(bearer.removeprefix("Bearer "))\n\n'
            "    def _json(self,",
        ),
    ),
    defect(
        "aws-refusal-does-not-matter",
        "VI-AWS-010",
        "credentials.py",
        f"    {LOGIN}\n",
        f'    try:\n        {LOGIN}\n    except VaultRefusalError:\n        return ""\n',
        "who has credentials of AWS is thought to be let in sooner or later",
        Edit("credentials.py", IMPORT, "from .vault import Vault, VaultRefusalError\n"),
    ),
    defect(
        "aws-role-not-needed",
        "VI-AWS-011",
        "configuration.py",
        '    _require(aws.get("iamRoleArn"), "auth.aws.iamRoleArn is empty")\n',
        "",
        "without an AWS role, the service account is thought to be an identity",
        Edit("credentials.py", WEB_IDENTITY, '    if not aws.get("iamRoleArn"):\n        return ""\n' + WEB_IDENTITY),
    ),
    defect(
        "aws-token-sent-along",
        "VI-AWS-012",
        "credentials.py",
        LOGIN,
        LOGIN.replace("| signed)", '| {"jwt": web_identity} | signed)'),
        "the token is sent as to the other methods of Kubernetes",
    ),
    defect(
        "aws-own-identity-for-everybody",
        "VI-AWS-013",
        "configuration.py",
        "    if not account and not issuer.namespace:\n",
        "    if not account:\n",
        "the own identity was meant for ClusterIssuers, and nobody thought of who may create an Issuer",
    ),
    defect(
        "aws-no-own-identity",
        "VI-AWS-014",
        "configuration.py",
        "    if not account and not issuer.namespace:\n        return  # the sample controller's own identity\n",
        "",
        "a service account is thought to be needed for every kind",
        Edit("configuration.py", "    if not account:\n        raise", "    if account is None:\n        raise"),
    ),
    defect(
        "aws-own-identity-of-another-key",
        "VI-AWS-014",
        "credentials.py",
        "own_identity(), region, aws",
        "own_identity()._replace(secret_access_key=region), region, aws",
        "two arguments beside each other changed places",
    ),
)
