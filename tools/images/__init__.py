"""Makes container images, and what runs them, of Debian packages, Go modules and a wheel: no registry is asked."""
