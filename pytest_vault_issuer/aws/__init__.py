"""The parts of AWS that Vault's ``aws`` auth method needs: signed requests, and an STS that answers them."""

from .signature import IamLogin, Signature, SignedRequest
from .sts import AssumedRole, Sts, start_sts
from .web_identity import IdentityProvider

__all__ = ["AssumedRole", "IamLogin", "IdentityProvider", "Signature", "SignedRequest", "Sts", "start_sts"]
