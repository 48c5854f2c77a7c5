"""Skips tests whose tools are missing, or fails them in CI, which installs the tools."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def not_run(why: str, required: str) -> NoReturn:
    """Skip a test, or fail it.

    :param required: name of the environment variable that makes a missing tool a failure.
    """
    if os.environ.get(required):
        pytest.fail(why)
    pytest.skip(why)
