module pytest-vault-issuer/vault-entrypoint

go 1.26.0
