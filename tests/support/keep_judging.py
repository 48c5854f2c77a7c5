"""A plugin for pytest: the tests of a session also run if the controller does not answer."""

from pytest_vault_issuer.judge import start

start.STOPS_IF_SILENT = False
