"""One way to authenticate to Vault, prepared by a test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..vault import AppRole, AuthRole


@dataclass(frozen=True)
class Authentication:
    """What the controller needs to authenticate for an issuer object, prepared in Vault and in the cluster.

    :ivar feature: the feature that an implementation claims for it, such as ``approle``.
    :ivar spec: the value of ``spec.vault.auth``; tests change copies of it.
    :ivar namespace: the namespace of its Secret or ServiceAccount.
    :ivar secret_name: name of the Secret with the credential ('' for secretless).
    :ivar secret_key: key in that Secret.
    :ivar credential: the credential in the Secret: token, SecretID or JWT ('' for secretless).
    :ivar service_account: name of the ServiceAccount ('' without one).
    :ivar principal: ARN of the AWS role to assume, or of the AWS user of the environment ('' without AWS).
    """

    feature: str
    spec: dict[str, Any]
    namespace: str
    secret_name: str = ""
    secret_key: str = ""
    credential: str = field(default="", repr=False)
    service_account: str = ""
    approle: AppRole | None = None
    role: AuthRole | None = None
    principal: str = ""

    @property
    def login_path(self) -> str:
        """URL path of the login request ('' for a token, which needs no login)."""
        if self.approle is not None:
            return f"/v1/auth/{self.approle.mount}/login"
        if self.role is not None:
            return f"{self.role.mount_path}/login"
        return ""
