"""pytest fixtures and a conformance suite for Vault-backed certificate controllers on Kubernetes.

The names in ``__all__`` are the public API. The suite imports nothing else; an area of requirements of your own needs
nothing else. A name is imported when it is first used, so that importing the plugin stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .aws import AssumedRole as AssumedRole
    from .aws import IamLogin as IamLogin
    from .aws.sts import IDENTIFY as IDENTIFY
    from .certificates import Authority as Authority
    from .certificates import ClientCertificate as ClientCertificate
    from .certificates import ServerCertificate as ServerCertificate
    from .certificates import key_to_pem as key_to_pem
    from .certificates import new_key as new_key
    from .certificates import to_pem as to_pem
    from .errors import BarrierUnmet as BarrierUnmet
    from .errors import ConfigurationError as ConfigurationError
    from .errors import NotRunnable as NotRunnable
    from .errors import Unmet as Unmet
    from .errors import UnsupportedError as UnsupportedError
    from .errors import VaultIssuerError as VaultIssuerError
    from .errors import at_barrier as at_barrier
    from .implementation import Implementation as Implementation
    from .implementation.control import Control as Control
    from .implementation.control import Controller as Controller
    from .judge.progress import SESSION_KEY as SESSION_KEY
    from .kube import Cluster as Cluster
    from .kube.client import CONFIG_MAPS as CONFIG_MAPS
    from .kube.client import NAMESPACES as NAMESPACES
    from .kube.client import SECRETS as SECRETS
    from .kube.client import SERVICE_ACCOUNTS as SERVICE_ACCOUNTS
    from .kube.client import ApiError as ApiError
    from .kube.client import Object as Object
    from .kube.client import condition as condition
    from .kube.rbac import create_token_secret as create_token_secret
    from .kube.rbac import may_request_tokens as may_request_tokens
    from .kube.rbac import user_name as user_name
    from .proxy import JWT as JWT
    from .proxy import AddHeader as AddHeader
    from .proxy import AnswerHeader as AnswerHeader
    from .proxy import Delay as Delay
    from .proxy import EmptyAnswer as EmptyAnswer
    from .proxy import Exchange as Exchange
    from .proxy import Fault as Fault
    from .proxy import Hang as Hang
    from .proxy import Hold as Hold
    from .proxy import HoldAnswer as HoldAnswer
    from .proxy import Injection as Injection
    from .proxy import Latency as Latency
    from .proxy import Proxy as Proxy
    from .proxy import Redirect as Redirect
    from .proxy import ResetAfter as ResetAfter
    from .proxy import ResetBefore as ResetBefore
    from .proxy import Respond as Respond
    from .proxy import Route as Route
    from .proxy import Tamper as Tamper
    from .proxy import TamperBody as TamperBody
    from .proxy import Trickle as Trickle
    from .proxy import add_to_chain as add_to_chain
    from .proxy import drop_chain as drop_chain
    from .proxy import duplicate_chain as duplicate_chain
    from .proxy import reorder_chain as reorder_chain
    from .proxy import replace_certificate as replace_certificate
    from .proxy import retry_later as retry_later
    from .proxy import set_data as set_data
    from .redaction.redactor import Redactor as Redactor
    from .requirements.features import KINDS as KINDS
    from .requirements.mark import requirement as requirement
    from .sandbox import FEATURES as FEATURES
    from .sandbox import Environment as Environment
    from .sandbox import Sandbox as Sandbox
    from .sandbox import VaultCluster as VaultCluster
    from .sandbox import new_iam_role as new_iam_role
    from .sandbox import ready_status as ready_status
    from .sandbox.approver import is_decided as is_decided
    from .sandbox.authentication import Authentication as Authentication
    from .sandbox.certificate import Certificate as Certificate
    from .sandbox.certificate import KeyPair as KeyPair
    from .sandbox.csr import SigningRequest as SigningRequest
    from .sandbox.csr import common_name_of as common_name_of
    from .sandbox.csr import generate_key as generate_key
    from .sandbox.csr import names_of as names_of
    from .sandbox.handles import CertificateRequest as CertificateRequest
    from .sandbox.handles import Handle as Handle
    from .sandbox.handles import Issuer as Issuer
    from .sandbox.handles import RefusedError as RefusedError
    from .sandbox.handles import answer as answer
    from .sandbox.handles import decode_certificates as decode_certificates
    from .sandbox.kubernetes_csr import CertificateSigningRequest as CertificateSigningRequest
    from .sandbox.shapes import Configuration as Configuration
    from .sandbox.shapes import InexpressibleError as InexpressibleError
    from .sandbox.vault_namespaces import VaultNamespaces as VaultNamespaces
    from .session.session import Session as Session
    from .stack.types import API_SERVER as API_SERVER
    from .stack.types import ETCD as ETCD
    from .stack.types import ControlPlane as ControlPlane
    from .stack.types import Stack as Stack
    from .timeouts import poll as poll
    from .vault import AppRole as AppRole
    from .vault import Pki as Pki
    from .vault import VaultAdmin as VaultAdmin
    from .vault import VaultWorkspace as VaultWorkspace

#: Public name -> module below the package.
_PUBLIC = {
    "aws": (
        "AssumedRole",
        "IamLogin",
    ),
    "aws.sts": ("IDENTIFY",),
    "certificates": (
        "Authority",
        "ClientCertificate",
        "ServerCertificate",
        "key_to_pem",
        "new_key",
        "to_pem",
    ),
    "errors": (
        "BarrierUnmet",
        "ConfigurationError",
        "NotRunnable",
        "Unmet",
        "UnsupportedError",
        "VaultIssuerError",
        "at_barrier",
    ),
    "implementation": ("Implementation",),
    "implementation.control": (
        "Control",
        "Controller",
    ),
    "judge.progress": ("SESSION_KEY",),
    "kube": ("Cluster",),
    "kube.client": (
        "ApiError",
        "CONFIG_MAPS",
        "Object",
        "NAMESPACES",
        "SECRETS",
        "SERVICE_ACCOUNTS",
        "condition",
    ),
    "kube.rbac": (
        "create_token_secret",
        "may_request_tokens",
        "user_name",
    ),
    "proxy": (
        "AddHeader",
        "AnswerHeader",
        "Delay",
        "EmptyAnswer",
        "Exchange",
        "Fault",
        "ForwardProxy",
        "Hang",
        "Hold",
        "HoldAnswer",
        "Injection",
        "JWT",
        "Latency",
        "Proxy",
        "Redirect",
        "ResetAfter",
        "ResetBefore",
        "Respond",
        "Route",
        "Tamper",
        "TamperBody",
        "Trickle",
        "add_to_chain",
        "drop_chain",
        "duplicate_chain",
        "reorder_chain",
        "replace_certificate",
        "retry_later",
        "set_data",
    ),
    "redaction.redactor": ("Redactor",),
    "requirements.features": ("KINDS",),
    "requirements.mark": ("requirement",),
    "sandbox": (
        "Environment",
        "FEATURES",
        "Sandbox",
        "VaultCluster",
        "new_iam_role",
        "ready_status",
    ),
    "sandbox.authentication": ("Authentication",),
    "sandbox.certificate": (
        "Certificate",
        "KeyPair",
    ),
    "sandbox.csr": (
        "SigningRequest",
        "common_name_of",
        "generate_key",
        "names_of",
    ),
    "sandbox.approver": ("is_decided",),
    "sandbox.handles": (
        "CertificateRequest",
        "Handle",
        "Issuer",
        "RefusedError",
        "answer",
        "decode_certificates",
    ),
    "sandbox.kubernetes_csr": ("CertificateSigningRequest",),
    "sandbox.shapes": (
        "Configuration",
        "InexpressibleError",
    ),
    "sandbox.vault_namespaces": ("VaultNamespaces",),
    "session.session": ("Session",),
    "stack.types": (
        "API_SERVER",
        "ControlPlane",
        "ETCD",
        "Stack",
    ),
    "timeouts": ("poll",),
    "vault": (
        "AppRole",
        "Pki",
        "VaultAdmin",
        "VaultWorkspace",
    ),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

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
    "AnswerHeader",
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
    "Configuration",
    "ConfigurationError",
    "Control",
    "ControlPlane",
    "Controller",
    "Delay",
    "EmptyAnswer",
    "Environment",
    "Exchange",
    "Fault",
    "ForwardProxy",
    "Handle",
    "Hang",
    "Hold",
    "HoldAnswer",
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
