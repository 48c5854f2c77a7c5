# What a session may do in an existing Vault: vault policy write vault-issuer vault-policy.hcl
# Auth methods are mounted at random paths, also nested ones, beside whatever is there.
path "sys/mounts/pki-*" { capabilities = ["create", "read", "update", "delete"] }
path "pki-*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "sys/auth/*" { capabilities = ["create", "read", "update", "delete", "sudo"] }
path "auth/*" { capabilities = ["create", "read", "update", "delete", "list"] }
path "auth/token/create-orphan" { capabilities = ["create", "update", "sudo"] }
path "sys/leases/revoke-prefix/auth/*" { capabilities = ["create", "update", "sudo"] }
path "sys/policy/vault-issuer-*" { capabilities = ["create", "update", "delete"] }
path "sys/policies/acl/vault-issuer-*" { capabilities = ["create", "update", "delete"] }
# Logins leave entities, which stay when their auth method is removed.
path "identity/entity-alias/id" { capabilities = ["list"] }
path "identity/entity/id/*" { capabilities = ["delete"] }
