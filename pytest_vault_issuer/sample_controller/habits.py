"""Habits that a right controller may have or not have; options of the command line choose them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Habits:
    """What the controller does beyond what the documentation asks of it.

    :ivar unknown_first: set a new issuer object to Ready=Unknown before the first check.
    :ivar sign_paths_only: refuse a path that is not a sign endpoint.
    :ivar preflight: before an issuer object becomes Ready, ask Vault whether its token may sign.
    :ivar keep_logins: sign with one login per issuer object until its token expires or Vault refuses it; not with
        secretless authentication, which needs a new service account token each time.
    """

    unknown_first: bool = False
    sign_paths_only: bool = False
    preflight: bool = False
    keep_logins: bool = False


#: The habits of this process; main sets them before anything starts.
HABITS = Habits()
