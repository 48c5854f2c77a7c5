"""Says of a test that what it needs is not on this machine: it is skipped, or fails where CI brings it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_run(why: str, required: str) -> NoReturn:
    """Skip a test, or have it fail.

    :param required: name of the environment variable that is set where what is missing is a failure.
    """
    if os.environ.get(required):
        pytest.fail(why)
    pytest.skip(why)
