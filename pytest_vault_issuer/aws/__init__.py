"""AWS as far as Vault's ``aws`` auth method needs it: signed requests, and an STS that answers them."""

from .login import IamLogin
from .signature import Signature, SignedRequest
from .sts import AssumedRole, Sts, start_sts

__all__ = ["AssumedRole", "IamLogin", "Signature", "SignedRequest", "Sts", "start_sts"]
