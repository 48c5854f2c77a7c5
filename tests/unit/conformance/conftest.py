"""Registers the suite's own mark, so that tests can import the suite's helpers."""

from __future__ import annotations

from vault_issuer_conformance.conftest import pytest_configure as pytest_configure
