"""A recording, fault-injecting reverse proxy that stands between an implementation and the real Vault."""

from pytest_vault_issuer.proxy.exchange import JWT, Exchange, HandshakeFailure, Headers, Route
from pytest_vault_issuer.proxy.faults import (
    AddHeader,
    Delay,
    EmptyAnswer,
    Fault,
    Hold,
    HoldAnswer,
    Redirect,
    ResetAfter,
    ResetBefore,
    Respond,
    Tamper,
    TamperBody,
    add_to_chain,
    drop_chain,
    duplicate_chain,
    reorder_chain,
    replace_certificate,
    set_data,
)
from pytest_vault_issuer.proxy.recorder import Injection
from pytest_vault_issuer.proxy.server import Proxy

__all__ = [
    "JWT",
    "AddHeader",
    "Delay",
    "EmptyAnswer",
    "Exchange",
    "Fault",
    "HandshakeFailure",
    "Headers",
    "Hold",
    "HoldAnswer",
    "Injection",
    "Proxy",
    "Redirect",
    "ResetAfter",
    "ResetBefore",
    "Respond",
    "Route",
    "Tamper",
    "TamperBody",
    "add_to_chain",
    "drop_chain",
    "duplicate_chain",
    "reorder_chain",
    "replace_certificate",
    "set_data",
]
