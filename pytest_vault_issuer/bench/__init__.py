"""Measures what a controller costs: latencies, throughput, and requests to Vault."""

from .measure import Load, measure
from .result import Result, compare, excesses

__all__ = ["Load", "Result", "compare", "excesses", "measure"]
