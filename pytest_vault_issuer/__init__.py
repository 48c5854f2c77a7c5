"""pytest fixtures and a conformance suite for Vault-backed certificate controllers on Kubernetes.

The names in ``__all__`` are the public API. The suite imports nothing else; an area of requirements of your own needs
nothing else. A name is imported when it is first used, so that importing the plugin stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .aws import AssumedRole, IamLogin
    from .aws.sts import IDENTIFY
    from .certificates import Authority, ClientCertificate, ServerCertificate, key_to_pem, new_key, to_pem
    from .errors import (
        BarrierUnmet,
        ConfigurationError,
        NotRunnable,
        Unmet,
        UnsupportedError,
        VaultIssuerError,
        at_barrier,
    )
    from .implementation import Implementation
    from .implementation.control import Control, Controller
    from .judge.items import requirement
    from .judge.progress import SESSION_KEY
    from .kube import Cluster
    from .kube.client import CONFIG_MAPS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, ApiError, Object, condition
    from .kube.rbac import create_token_secret, may_request_tokens, user_name
    from .proxy import (
        JWT,
        AddHeader,
        Compress,
        Delay,
        EmptyResponse,
        Exchange,
        Fault,
        ForwardProxy,
        Hang,
        Hold,
        HoldResponse,
        Injection,
        Latency,
        Proxy,
        Redirect,
        ResetAfter,
        ResetBefore,
        Respond,
        ResponseHeader,
        Route,
        Tamper,
        TamperBody,
        Trickle,
        add_to_chain,
        drop_chain,
        duplicate_chain,
        reorder_chain,
        replace_certificate,
        retry_later,
        set_data,
    )
    from .redaction.redactor import Redactor
    from .requirements.features import KINDS
    from .sandbox import FEATURES, Environment, Sandbox, VaultCluster, new_iam_role, ready_status
    from .sandbox.approver import is_decided
    from .sandbox.certificate import Certificate, KeyPair
    from .sandbox.credentials import Authentication
    from .sandbox.csr import SigningRequest, common_name_of, generate_key, names_of
    from .sandbox.handles import CertificateRequest, Handle, Issuer, RefusedError, answer, decode_certificates
    from .sandbox.kubernetes_csr import CertificateSigningRequest
    from .sandbox.sandbox import VaultNamespaces
    from .sandbox.shapes import Configuration, InexpressibleError
    from .session.session import Session
    from .stack.types import API_SERVER, ETCD, ControlPlane, Stack
    from .timeouts import poll
    from .vault import AppRole, Pki, VaultAdmin, VaultWorkspace

#: Module below the package -> its public names.
_PUBLIC = {
    "aws": "AssumedRole IamLogin",
    "aws.sts": "IDENTIFY",
    "certificates": "Authority ClientCertificate ServerCertificate key_to_pem new_key to_pem",
    "errors": "BarrierUnmet ConfigurationError NotRunnable Unmet UnsupportedError VaultIssuerError at_barrier",
    "implementation": "Implementation",
    "implementation.control": "Control Controller",
    "judge.items": "requirement",
    "judge.progress": "SESSION_KEY",
    "kube": "Cluster",
    "kube.client": "CONFIG_MAPS NAMESPACES SECRETS SERVICE_ACCOUNTS ApiError Object condition",
    "kube.rbac": "create_token_secret may_request_tokens user_name",
    "proxy": (
        "JWT AddHeader ResponseHeader Compress Delay EmptyResponse Exchange Fault ForwardProxy Hang Hold HoldResponse "
        "Injection Latency Proxy Redirect ResetAfter ResetBefore Respond Route Tamper TamperBody Trickle add_to_chain "
        "drop_chain duplicate_chain reorder_chain replace_certificate retry_later set_data"
    ),
    "redaction.redactor": "Redactor",
    "requirements.features": "KINDS",
    "sandbox": "FEATURES Environment Sandbox VaultCluster new_iam_role ready_status",
    "sandbox.approver": "is_decided",
    "sandbox.certificate": "Certificate KeyPair",
    "sandbox.credentials": "Authentication",
    "sandbox.csr": "SigningRequest common_name_of generate_key names_of",
    "sandbox.handles": "CertificateRequest Handle Issuer RefusedError answer decode_certificates",
    "sandbox.kubernetes_csr": "CertificateSigningRequest",
    "sandbox.sandbox": "VaultNamespaces",
    "sandbox.shapes": "Configuration InexpressibleError",
    "session.session": "Session",
    "stack.types": "API_SERVER ETCD ControlPlane Stack",
    "timeouts": "poll",
    "vault": "AppRole Pki VaultAdmin VaultWorkspace",
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = [
    "API_SERVER",
    "CONFIG_MAPS",
    "ETCD",
    "FEATURES",
    "IDENTIFY",
    "JWT",
    "KINDS",
    "NAMESPACES",
    "SECRETS",
    "SERVICE_ACCOUNTS",
    "SESSION_KEY",
    "AddHeader",
    "ApiError",
    "AppRole",
    "AssumedRole",
    "Authentication",
    "Authority",
    "BarrierUnmet",
    "Certificate",
    "CertificateRequest",
    "CertificateSigningRequest",
    "ClientCertificate",
    "Cluster",
    "Compress",
    "Configuration",
    "ConfigurationError",
    "Control",
    "ControlPlane",
    "Controller",
    "Delay",
    "EmptyResponse",
    "Environment",
    "Exchange",
    "Fault",
    "ForwardProxy",
    "Handle",
    "Hang",
    "Hold",
    "HoldResponse",
    "IamLogin",
    "Implementation",
    "InexpressibleError",
    "Injection",
    "Issuer",
    "KeyPair",
    "Latency",
    "NotRunnable",
    "Object",
    "Pki",
    "Proxy",
    "Redactor",
    "Redirect",
    "RefusedError",
    "ResetAfter",
    "ResetBefore",
    "Respond",
    "ResponseHeader",
    "Route",
    "Sandbox",
    "ServerCertificate",
    "Session",
    "SigningRequest",
    "Stack",
    "Tamper",
    "TamperBody",
    "Trickle",
    "Unmet",
    "UnsupportedError",
    "VaultAdmin",
    "VaultCluster",
    "VaultIssuerError",
    "VaultNamespaces",
    "VaultWorkspace",
    "__version__",
    "add_to_chain",
    "answer",
    "at_barrier",
    "common_name_of",
    "condition",
    "create_token_secret",
    "decode_certificates",
    "drop_chain",
    "duplicate_chain",
    "generate_key",
    "is_decided",
    "key_to_pem",
    "may_request_tokens",
    "names_of",
    "new_iam_role",
    "new_key",
    "poll",
    "ready_status",
    "reorder_chain",
    "replace_certificate",
    "requirement",
    "retry_later",
    "set_data",
    "to_pem",
    "user_name",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value
