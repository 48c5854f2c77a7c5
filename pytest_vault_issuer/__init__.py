"""pytest fixtures and a conformance suite for Vault-backed certificate controllers on Kubernetes.

The names in ``__all__`` are the public API. The suite imports nothing else; an area of requirements of your own needs
nothing else. A name is imported when it is first used, so that a program of this package imports only what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:  # the same names as below, for type checkers
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
    from .judge.items import requirement as requirement
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
    from .proxy.exchange import JWT as JWT
    from .proxy.exchange import Exchange as Exchange
    from .proxy.exchange import Route as Route
    from .proxy.faults import AddHeader as AddHeader
    from .proxy.faults import Compress as Compress
    from .proxy.faults import Delay as Delay
    from .proxy.faults import EmptyResponse as EmptyResponse
    from .proxy.faults import Fault as Fault
    from .proxy.faults import Hang as Hang
    from .proxy.faults import Hold as Hold
    from .proxy.faults import HoldResponse as HoldResponse
    from .proxy.faults import Latency as Latency
    from .proxy.faults import Redirect as Redirect
    from .proxy.faults import ResetAfter as ResetAfter
    from .proxy.faults import ResetBefore as ResetBefore
    from .proxy.faults import Respond as Respond
    from .proxy.faults import ResponseHeader as ResponseHeader
    from .proxy.faults import Tamper as Tamper
    from .proxy.faults import TamperBody as TamperBody
    from .proxy.faults import Trickle as Trickle
    from .proxy.faults import add_to_chain as add_to_chain
    from .proxy.faults import drop_chain as drop_chain
    from .proxy.faults import duplicate_chain as duplicate_chain
    from .proxy.faults import reorder_chain as reorder_chain
    from .proxy.faults import replace_certificate as replace_certificate
    from .proxy.faults import retry_later as retry_later
    from .proxy.faults import set_data as set_data
    from .proxy.forward import ForwardProxy as ForwardProxy
    from .proxy.recorder import Injection as Injection
    from .proxy.server import Proxy as Proxy
    from .redaction.redactor import Redactor as Redactor
    from .requirements.features import KINDS as KINDS
    from .sandbox import FEATURES as FEATURES
    from .sandbox import Environment as Environment
    from .sandbox import Sandbox as Sandbox
    from .sandbox import VaultCluster as VaultCluster
    from .sandbox import new_iam_role as new_iam_role
    from .sandbox import ready_status as ready_status
    from .sandbox.approver import is_decided as is_decided
    from .sandbox.certificate import Certificate as Certificate
    from .sandbox.certificate import KeyPair as KeyPair
    from .sandbox.credentials import Authentication as Authentication
    from .sandbox.csr import SigningRequest as SigningRequest
    from .sandbox.csr import common_name_of as common_name_of
    from .sandbox.csr import generate_key as generate_key
    from .sandbox.csr import names_of as names_of
    from .sandbox.handles import CertificateRequest as CertificateRequest
    from .sandbox.handles import Handle as Handle
    from .sandbox.handles import Issuer as Issuer
    from .sandbox.handles import RefusedError as RefusedError
    from .sandbox.handles import decode_certificates as decode_certificates
    from .sandbox.kubernetes_csr import CertificateSigningRequest as CertificateSigningRequest
    from .sandbox.sandbox import VaultNamespaces as VaultNamespaces
    from .sandbox.shapes import Configuration as Configuration
    from .sandbox.shapes import InexpressibleError as InexpressibleError
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
    "kube.client": "ApiError CONFIG_MAPS NAMESPACES Object SECRETS SERVICE_ACCOUNTS condition",
    "kube.rbac": "create_token_secret may_request_tokens user_name",
    "proxy.exchange": "Exchange JWT Route",
    "proxy.faults": (
        "AddHeader Compress Delay EmptyResponse Fault Hang Hold HoldResponse Latency Redirect ResetAfter "
        "ResetBefore Respond ResponseHeader Tamper TamperBody Trickle add_to_chain drop_chain duplicate_chain "
        "reorder_chain replace_certificate retry_later set_data"
    ),
    "proxy.forward": "ForwardProxy",
    "proxy.recorder": "Injection",
    "proxy.server": "Proxy",
    "redaction.redactor": "Redactor",
    "requirements.features": "KINDS",
    "sandbox": "Environment FEATURES Sandbox VaultCluster new_iam_role ready_status",
    "sandbox.approver": "is_decided",
    "sandbox.certificate": "Certificate KeyPair",
    "sandbox.credentials": "Authentication",
    "sandbox.csr": "SigningRequest common_name_of generate_key names_of",
    "sandbox.handles": "CertificateRequest Handle Issuer RefusedError decode_certificates",
    "sandbox.kubernetes_csr": "CertificateSigningRequest",
    "sandbox.sandbox": "VaultNamespaces",
    "sandbox.shapes": "Configuration InexpressibleError",
    "session.session": "Session",
    "stack.types": "API_SERVER ControlPlane ETCD Stack",
    "timeouts": "poll",
    "vault": "AppRole Pki VaultAdmin VaultWorkspace",
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = [*_MODULE_OF, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value
