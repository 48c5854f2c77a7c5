"""A node image for kind, from Debian's packages and the Kubernetes of the toolchain."""
