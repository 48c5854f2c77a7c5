"""How the documentation is built: ``tox run -e docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pytest_vault_issuer import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pytest-vault-issuer"
author = "the authors of pytest-vault-issuer"
release = version = __version__
extensions = ["myst_parser", "vault_issuer_docs"]
exclude_patterns = ["_build"]
needs_sphinx = "8.1"
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
# Every heading of these depths can be linked to: options.md#vault-issuer-stack.
myst_heading_anchors = 4

html_theme = "furo"
html_title = "pytest-vault-issuer"
html_static_path = ["_static"]
# The published reports, which vault_issuer_docs writes.
html_extra_path = ["_published"]
(Path(__file__).parent / "_published").mkdir(exist_ok=True)
html_css_files = ["docs.css"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
# Set by .github/workflows/docs.yml, which publishes each version in a directory of its own: a tag, or main.
if published := os.environ.get("DOCS_VERSION", "").removeprefix("v"):
    what = "Not released yet" if published == "main" else f"Version {published}"
    site = "https://pytest-vault-issuer.github.io/pytest-vault-issuer"
    html_theme_options["announcement"] = f'{what}. <a href="{site}/versions.html">Other versions</a>'
