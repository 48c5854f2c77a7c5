# What the issuers of team web may do: have certificates signed by their role.
path "${mount}/sign/web" {
  capabilities = ["create", "update"]
}
