# The tool as an OCI image: the command vault-issuer with the suite. It contains no component: the first session gets them.
# Build the wheel first: python tools/ship_crds.py && python -m build --wheel && docker build --tag vault-issuer .
FROM python:3.13-slim-bookworm

LABEL org.opencontainers.image.title="pytest-vault-issuer" \
      org.opencontainers.image.description="Judges Vault-backed certificate controllers for Kubernetes" \
      org.opencontainers.image.source="https://github.com/pytest-vault-issuer/pytest-vault-issuer" \
      org.opencontainers.image.licenses="Apache-2.0"

# go is a Go toolchain, for components without a pinned download. With a complete mirror, leave it out.
ARG EXTRAS=xdist,go,aws,kubeconfig

# pytest rewrites the modules of the suite at their first import. The user below cannot write the result.
RUN --mount=type=bind,source=dist,target=/dist \
    set -- /dist/*.whl \
    && test "$#" -eq 1 \
    && pip install --no-cache-dir --root-user-action=ignore "$1[$EXTRAS]" \
    && pytest --pyargs vault_issuer_conformance --vault-issuer=sample-controller --collect-only --quiet \
        -p no:cacheprovider > /dev/null \
    && install --directory --mode=1777 /data /work

# The cache of components and the records of what a killed session left. Any user may write here: docker run --user.
ENV HOME=/data
# A number, so that Kubernetes can check runAsNonRoot.
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["vault-issuer"]
CMD ["--help"]
