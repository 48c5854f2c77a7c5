"""Provider ``process``: etcd, kube-apiserver and Vault or OpenBao as local processes."""
