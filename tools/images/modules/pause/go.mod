module pytest-vault-issuer/pause

go 1.26.0
