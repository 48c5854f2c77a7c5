"""Runs pytest as ``python -m pytest`` does. A Ctrl-C before the session begins ends it without a traceback.

Run as ``python -P run_pytest.py ARGUMENTS``. It imports nothing of this package: pytest does, and rewrites assertions.
"""

import runpy
import sys

if __name__ == "__main__":
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except KeyboardInterrupt:
        print("vault-issuer: interrupted", file=sys.stderr)
        sys.exit(130)
