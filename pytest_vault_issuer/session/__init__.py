"""One execution of the suite with its stack and controller."""
