"""Makes container images, and what runs them, from Debian packages and Go modules: no registry of images is asked."""
