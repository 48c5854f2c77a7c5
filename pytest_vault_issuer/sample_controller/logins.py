"""Keeps the Vault tokens of logins while they live."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .configuration import Issuer
from .vault import LoginToken


@dataclass
class _Login:
    token: LoginToken
    expires: float
    used_again: bool = False


class Logins:
    """The tokens of logins, by issuer object, until they expire; a changed specification needs a new login."""

    def __init__(self) -> None:
        self._kept: dict[str, _Login] = {}
        self._lock = threading.Lock()

    def token(self, issuer: Issuer, log_in: Callable[[], str]) -> str:
        """Return the token that is kept for an issuer object, or that of a new login."""
        with self._lock:
            login = self._kept.get(repr(issuer))
            if login is not None and login.expires > time.monotonic():
                login.used_again = True
                return login.token
        token = log_in()
        if isinstance(token, LoginToken):
            with self._lock:
                self._kept[repr(issuer)] = _Login(token, time.monotonic() + token.ttl)
        return token

    def forget(self, issuer: Issuer) -> bool:
        """Forget the login of an issuer object; return whether its token was used for an earlier request too."""
        with self._lock:
            login = self._kept.pop(repr(issuer), None)
        return login is not None and login.used_again


#: The logins of this process.
LOGINS = Logins()
