#!/bin/bash
# Rejects every new connection that would leave eth0 for other than the container network's own subnets.
# Answers to connections from outside, such as the API server's published port, are not new.
set -o errexit -o nounset -o pipefail

reject() {
  local iptables=$1
  shift
  local inside=("$@")
  "$iptables" -N VAULT-ISSUER-INSIDE
  "$iptables" -A VAULT-ISSUER-INSIDE -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
  for subnet in "${inside[@]}"; do
    "$iptables" -A VAULT-ISSUER-INSIDE -d "$subnet" -j RETURN
  done
  "$iptables" -A VAULT-ISSUER-INSIDE -j REJECT
  for chain in OUTPUT FORWARD; do
    "$iptables" -I "$chain" -o eth0 -j VAULT-ISSUER-INSIDE
  done
}

mapfile -t subnets < <(ip -4 -o route show dev eth0 scope link proto kernel | awk '{print $1}')
[[ ${#subnets[@]} -gt 0 ]] || { echo "eth0 has no subnet" >&2; exit 1; }
reject iptables "${subnets[@]}"

mapfile -t subnets < <(ip -6 -o route show dev eth0 proto kernel | awk '$1 ~ "/" {print $1}')
# Neighbours are found by multicast.
reject ip6tables fe80::/10 ff02::/16 "${subnets[@]}"
