"""Settings of the Go runtime of the stack's components; the controller under test keeps its own."""

from __future__ import annotations

#: The components live for minutes and have memory to spare. With the default (100), the garbage collector takes a fifth
#: of the API server's CPU time. See https://go.dev/doc/gc-guide.
GO_RUNTIME = {"GOGC": "400"}
