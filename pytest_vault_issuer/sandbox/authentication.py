"""One way of authenticating to Vault, as a test prepared it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..vault import AppRole, AuthRole


@dataclass(frozen=True)
class Authentication:
    """What an issuer needs to authenticate, already in place in Vault and in the cluster.

    :ivar feature: by which an implementation claims it, such as ``approle``.
    :ivar spec: the value of ``spec.vault.auth``; tests change copies of it.
    :ivar namespace: where its Secret or ServiceAccount is.
    :ivar secret_name: name of the Secret that holds the credential ('' for secretless).
    :ivar secret_key: key in that Secret.
    :ivar credential: what the Secret holds: token, SecretID or JWT ('' for secretless).
    :ivar service_account: name of the ServiceAccount ('' without one).
    :ivar principal: ARN of the AWS role that it is to assume, or of the user that it is to be ('' without one).
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
        """URL path of the login request ('' for a token, which needs none)."""
        if self.approle is not None:
            return f"/v1/auth/{self.approle.mount}/login"
        if self.role is not None:
            return f"{self.role.mount_path}/login"
        return ""
