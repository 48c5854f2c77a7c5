"""Mistakes with what Vault is asked to sign, and with its answer."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

DEFECTS: tuple[Defect, ...] = (
    defect(
        "role-behind-the-first-segment",
        "VI-SIGN-001",
        "configuration.py",
        '        return str(self.vault.get("path") or "")\n',
        '        mount, *rest = str(self.vault.get("path") or "").split("/")\n'
        '        return "/".join([mount, *rest[-2:]])\n',
        "mount, `sign` and role are taken from the path; that a mount may have slashes was not thought of",
    ),
    defect(
        "authorities-are-signed-elsewhere",
        "VI-SIGN-001",
        "certificate_requests.py",
        "        namespace = self._cluster_resource_namespace\n",
        "        namespace = self._cluster_resource_namespace\n"
        '        if spec.get("isCA"):\n'
        '            vault = issuer["spec"]["vault"]\n'
        '            vault["path"] = vault["path"].replace("/sign/", "/sign-verbatim/")\n',
        "for a CA the role's limits were thought to be in the way",
    ),
    defect(
        "csr-with-attributes-is-written-anew",
        "VI-SIGN-002",
        "csr.py",
        '        "csr": pem.decode(),\n',
        '        "csr": _plain(csr, pem).decode(),\n',
        "what a CSR holds beyond its names was to be kept from Vault, which needs another key",
        Edit(
            "csr.py",
            "def common_name(",
            "def _plain(csr: x509.CertificateSigningRequest, pem: bytes) -> bytes:\n"
            "    if len(csr.attributes) <= 1:\n"
            "        return pem\n"
            "    from cryptography.hazmat.primitives import hashes\n"
            "    from cryptography.hazmat.primitives.asymmetric import ec\n\n"
            "    builder = x509.CertificateSigningRequestBuilder().subject_name(csr.subject)\n"
            "    key = ec.generate_private_key(ec.SECP256R1())\n"
            "    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)\n"
            "\n\ndef common_name(",
        ),
    ),
    defect(
        "csr-of-one-kilobyte",
        "VI-SIGN-003",
        "csr.py",
        "        csr = x509.load_pem_x509_csr(pem)\n",
        "        csr = x509.load_pem_x509_csr(pem)\n"
        "        if len(pem) > 1400:\n"
        '            raise ValueError("too long")\n',
        "a bound on what is read from a request was taken from the CSR of an RSA key of 2048 bits",
    ),
    defect(
        "one-curve",
        "VI-SIGN-003",
        "csr.py",
        "        csr.public_key()\n",
        '        curve = getattr(csr.public_key(), "curve", None)\n'
        '        if curve is not None and curve.name != "secp256r1":\n'
        '            raise ValueError("the curve of the key is unusual")\n',
        "P-256 was thought to be the one curve that certificates have",
    ),
    defect(
        "hash-of-every-signature",
        "VI-SIGN-004",
        "csr.py",
        "        csr.public_key()\n",
        '        if csr.signature_hash_algorithm.name in ("md5", "sha1"):\n'
        '            raise ValueError("the hash of the CSR\'s signature is broken")\n',
        "a signature with a broken hash is refused; that of an Ed25519 key has no hash of its own",
    ),
    defect(
        "common-name-left-to-the-csr",
        "VI-SIGN-005",
        "csr.py",
        '        "common_name": common_name(csr),\n',
        '        "common_name": "",\n',
        "Vault was thought to take the common name from the CSR, which its role may forbid",
    ),
    defect(
        "first-dns-name-for-a-common-name",
        "VI-SIGN-005",
        "csr.py",
        '        "common_name": common_name(csr),\n',
        '        "common_name": common_name(csr) or next(iter(names.get_values_for_type(x509.DNSName)), ""),\n',
        "Vault's roles ask for a common name by default, and the first DNS name was thought to do",
    ),
    defect(
        "every-csr-has-a-common-name",
        "VI-SIGN-005",
        "csr.py",
        '    return str(found[-1].value) if found else ""\n',
        "    return str(found[-1].value)\n",
        "a CSR without a common name was not thought of",
    ),
    defect(
        "common-name-left-out-of-names",
        "VI-SIGN-006",
        "csr.py",
        '        "alt_names": ",".join(names.get_values_for_type(x509.DNSName)),\n',
        '        "alt_names": ",".join(n for n in names.get_values_for_type(x509.DNSName) if n != common_name(csr)),\n',
        "the common name was thought to be among the names already",
    ),
    defect(
        "names-without-a-wildcard",
        "VI-SIGN-006",
        "csr.py",
        '        "alt_names": ",".join(names.get_values_for_type(x509.DNSName)),\n',
        '        "alt_names": ",".join(n for n in names.get_values_for_type(x509.DNSName) if "*" not in n),\n',
        "the author's role allows no wildcards, so they were filtered out",
    ),
    defect(
        "names-with-a-dot",
        "VI-SIGN-006",
        "csr.py",
        '        "alt_names": ",".join(names.get_values_for_type(x509.DNSName)),\n',
        '        "alt_names": ",".join(n for n in names.get_values_for_type(x509.DNSName) if "." in n),\n',
        "a name without a dot was thought to be none of DNS",
    ),
    defect(
        "addresses-of-version-four",
        "VI-SIGN-007",
        "csr.py",
        "for address in names.get_values_for_type(x509.IPAddress)),",
        'for address in names.get_values_for_type(x509.IPAddress) if "." in str(address)),',
        "an address was thought to have dots",
    ),
    defect(
        "addresses-as-in-urls",
        "VI-SIGN-007",
        "csr.py",
        '",".join(str(address) for address in',
        '",".join(str(address) if address.version == 4 else f"[{address}]" for address in',
        "IPv6 addresses were written as in a URL",
    ),
    defect(
        "first-address",
        "VI-SIGN-007",
        "csr.py",
        "names.get_values_for_type(x509.IPAddress)),",
        "names.get_values_for_type(x509.IPAddress)[:1]),",
        "the author's services have one address",
    ),
    defect(
        "uris-forgotten",
        "VI-SIGN-008",
        "csr.py",
        '        "uri_sans": ",".join(names.get_values_for_type(x509.UniformResourceIdentifier)),\n',
        "",
        "URIs were left out, as in cert-manager's early versions",
    ),
    defect(
        "uris-of-spiffe",
        "VI-SIGN-008",
        "csr.py",
        '",".join(names.get_values_for_type(x509.UniformResourceIdentifier)),',
        '",".join(u for u in names.get_values_for_type(x509.UniformResourceIdentifier) if u.startswith("spiffe:")),',
        "URIs were added for SPIFFE, and no others were thought of",
    ),
    defect(
        "common-name-becomes-a-name",
        "VI-SIGN-009",
        "csr.py",
        '        "exclude_cn_from_sans": "true",\n',
        "",
        "Vault's default was not looked up",
    ),
    defect(
        "common-name-for-want-of-names",
        "VI-SIGN-009",
        "csr.py",
        '        "exclude_cn_from_sans": "true",\n',
        '        "exclude_cn_from_sans": "true" if list(names) else "false",\n',
        "a certificate without any alternative name was thought to be of no use",
    ),
    defect(
        "hours-alone",
        "VI-SIGN-010",
        "csr.py",
        '        "ttl": duration or DEFAULT_DURATION,\n',
        '        "ttl": duration[: duration.find("h") + 1] or duration if duration else DEFAULT_DURATION,\n',
        "a duration of hours was thought to be of nothing else",
    ),
    defect(
        "duration-up-to-the-default",
        "VI-SIGN-010",
        "csr.py",
        '        "ttl": duration or DEFAULT_DURATION,\n',
        '        "ttl": DEFAULT_DURATION if (duration or "h").find("h") in (0, 4, 5) else duration,\n',
        "90 days were thought to be the most, not the default",
    ),
    defect(
        "duration-in-a-field-of-another-name",
        "VI-SIGN-010",
        "csr.py",
        '        "ttl": duration or DEFAULT_DURATION,\n',
        '        "ttl" if not duration else "max_ttl": duration or DEFAULT_DURATION,\n',
        "the role's field was taken for the request's",
    ),
    defect(
        "duration-left-to-the-role",
        "VI-SIGN-011",
        "csr.py",
        '        "ttl": duration or DEFAULT_DURATION,\n',
        '        "ttl": duration or "",\n',
        "the default was left to the role of Vault",
    ),
    defect(
        "default-of-thirty-days",
        "VI-SIGN-011",
        "csr.py",
        'DEFAULT_DURATION = "2160h"',
        'DEFAULT_DURATION = "720h"',
        "how long before the end certificates are renewed was taken for how long they live",
    ),
    defect(
        "topmost-is-the-root",
        "VI-SIGN-012",
        "chain.py",
        "    intermediates = [authority for authority in above if not is_self_signed(authority)]\n",
        "    intermediates = above[:-1]\n",
        "the last certificate of a chain was thought to be its root; Vault may not know the root",
        also=("VI-SIGN-015",),
    ),
    defect(
        "one-intermediate",
        "VI-SIGN-012",
        "chain.py",
        "for authority in above if not is_self_signed(authority)]",
        "for authority in above[:1] if not is_self_signed(authority)]",
        "the author's PKI has one intermediate",
        also=("VI-SIGN-014",),
    ),
    defect(
        "chain-from-the-top",
        "VI-SIGN-012",
        "chain.py",
        "    return Chain([leaf, *intermediates], topmost)\n",
        "    return Chain([leaf, *reversed(intermediates)], topmost)\n",
        "a chain was thought to start at its root; with one intermediate there is no difference",
        also=("VI-SIGN-014",),
    ),
    defect(
        "issuing-ca-for-the-root",
        "VI-SIGN-013",
        "chain.py",
        "    topmost = above[-1] if above else None\n",
        "    topmost = above[0] if above else None\n",
        "the CA that signed the leaf was thought to be what clients trust, as in cert-manager's early versions",
    ),
    defect(
        "root-or-nothing",
        "VI-SIGN-013",
        "chain.py",
        "    topmost = above[-1] if above else None\n",
        "    topmost = above[-1] if above and is_self_signed(above[-1]) else None\n",
        "only a root was thought fit to be trusted",
        also=("VI-SIGN-015",),
    ),
    defect(
        "order-of-vault",
        "VI-SIGN-014",
        "chain.py",
        "    above = _above(leaf, authorities)\n",
        "    above = list(dict.fromkeys(authority for authority in authorities if authority != leaf))\n"
        "    if above and not certifies(above[0], leaf):\n"
        "        above.reverse()\n",
        "Vault sends a chain from the leaf up, or in old versions from the root down; no other order was thought of",
        also=("VI-SIGN-016",),
    ),
    defect(
        "repetition-is-an-error",
        "VI-SIGN-014",
        "chain.py",
        "    if authorities and not above and set(authorities) != {leaf}:\n",
        "    if len(above) != len(authorities):\n",
        "a certificate that is not needed was thought to be a sign of an attack; Vault repeats some",
    ),
    defect(
        "leaf-once-more",
        "VI-SIGN-014",
        "chain.py",
        "    intermediates = [authority for authority in above if not is_self_signed(authority)]\n",
        "    intermediates = [authority for authority in above if not is_self_signed(authority)]\n"
        "    intermediates += [authority for authority in authorities if authority == leaf]\n",
        "whatever Vault sends in the chain was to be kept",
    ),
    defect(
        "issuing-ca-not-looked-at",
        "VI-SIGN-015",
        "chain.py",
        '    if not sent and data.get("issuing_ca"):\n        sent = [data["issuing_ca"]]\n',
        "",
        "`ca_chain` was thought to be always there: old versions of Vault, and some roots, leave it out",
    ),
    defect(
        "no-chain-no-certificate",
        "VI-SIGN-015",
        "chain.py",
        "    authorities = [_read(text) for text in sent]\n",
        "    if not sent:\n"
        '        raise ChainError("Vault sent no chain")\n'
        "    authorities = [_read(text) for text in sent]\n",
        "a certificate whose CA is not told was thought to be of no use",
    ),
    defect(
        "strangers-at-the-end",
        "VI-SIGN-016",
        "chain.py",
        "    return Chain([leaf, *intermediates], topmost)\n",
        "    rest = [authority for authority in dict.fromkeys(authorities) if authority not in (leaf, *above)]\n"
        "    return Chain([leaf, *intermediates, *rest], topmost)\n",
        "what does not fit into the chain was to be kept: it may be a cross-signed certificate",
    ),
    defect(
        "last-root-is-the-root",
        "VI-SIGN-016",
        "chain.py",
        "    topmost = above[-1] if above else None\n",
        "    topmost = next((a for a in reversed(authorities) if is_self_signed(a)), above[-1] if above else None)\n",
        "a root was looked for from the end, without looking at what it certifies",
    ),
    defect(
        "issued-without-a-certificate",
        "VI-SIGN-017",
        "chain.py",
        '    leaf = _read(data.get("certificate"))\n',
        '    if not data.get("certificate"):\n        return Chain([], None)\n    leaf = _read(data["certificate"])\n',
        "an answer of success without a certificate was thought to be no error, as when Vault stores it itself",
        Edit(
            "signing.py",
            "        check_fits(chain.certificates[0], csr)\n",
            "        if chain.certificates:\n            check_fits(chain.certificates[0], csr)\n",
        ),
        Edit(
            "certificate_requests.py",
            '            status["certificate"] =',
            '            if chain.certificates:\n                status["certificate"] =',
        ),
        also=("VI-SIGN-018",),
    ),
    defect(
        "unreadable-certificate-is-vaults-business",
        "VI-SIGN-017",
        "signing.py",
        "        chain = read_chain(data)\n        check_fits(chain.certificates[0], csr)\n",
        "        try:\n"
        "            chain = read_chain(data)\n"
        "        except ChainError:\n"
        '            if not data.get("certificate"):\n'
        "                raise\n"
        "            return Chain([], None)\n"
        "        check_fits(chain.certificates[0], csr)\n",
        "a certificate that cannot be read was thought to be none of the issuer's business",
        Edit(
            "certificate_requests.py",
            '            status["certificate"] =',
            '            if chain.certificates:\n                status["certificate"] =',
        ),
    ),
    defect(
        "certificate-for-any-key",
        "VI-SIGN-018",
        "signing.py",
        "        check_fits(chain.certificates[0], csr)\n",
        "",
        "that Vault's answer belongs to the request was taken for granted",
        also=("VI-SIGN-019",),
    ),
    defect(
        "certificate-for-a-key-of-the-same-kind",
        "VI-SIGN-018",
        "csr.py",
        "    if _key(certificate) != _key(csr):\n",
        "    if _key(certificate)[:24] != _key(csr)[:24]:\n",
        "keys were compared by their algorithm and curve",
    ),
    defect(
        "expiry-of-yesterday-passes",
        "VI-SIGN-019",
        "csr.py",
        "    if certificate.not_valid_after_utc <= datetime.now(UTC):\n",
        "    if certificate.not_valid_after_utc <= datetime.now(UTC) - timedelta(days=1):\n",
        "a clock that is wrong by a day was to be borne",
        Edit("csr.py", "from datetime import UTC, datetime", "from datetime import UTC, datetime, timedelta"),
    ),
    defect(
        "expiry-not-looked-at",
        "VI-SIGN-019",
        "csr.py",
        "    if certificate.not_valid_after_utc <= datetime.now(UTC):\n",
        "    if certificate.not_valid_after_utc <= certificate.not_valid_before_utc:\n",
        "a new certificate was thought to be valid now",
    ),
    defect(
        "root-in-the-certificate",
        "VI-SIGN-020",
        "chain.py",
        "    intermediates = [authority for authority in above if not is_self_signed(authority)]\n",
        "    intermediates = above\n",
        "the whole chain was put where the certificate is, as in cert-manager's early versions",
    ),
    defect(
        "root-that-signs",
        "VI-SIGN-020",
        "chain.py",
        "    intermediates = [authority for authority in above if not is_self_signed(authority)]\n",
        "    intermediates = above[:1] + [authority for authority in above[1:] if not is_self_signed(authority)]\n",
        "whoever signed the leaf was thought to be an intermediate",
    ),
    defect(
        "duration-of-an-hour-at-least",
        "VI-SIGN-010",
        "csr.py",
        '        "ttl": duration or DEFAULT_DURATION,\n',
        '        "ttl": "1h" if duration and seconds(duration) < 3600 else duration or DEFAULT_DURATION,\n',
        "the least that a Certificate may ask for was thought to hold for requests",
        Edit(
            "csr.py",
            "from cryptography.x509.oid import NameOID\n",
            "from cryptography.x509.oid import NameOID\n\nfrom .durations import seconds\n",
        ),
    ),
)
