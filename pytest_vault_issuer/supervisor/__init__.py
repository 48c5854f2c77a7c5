"""The process that owns and ends a session's processes, and what finds the sessions of this machine."""
