"""What an implementation costs: how long issuers and requests take, and what is asked of Vault for them."""

from .measure import Load, measure
from .result import Result, compare, excesses

__all__ = ["Load", "Result", "compare", "excesses", "measure"]
