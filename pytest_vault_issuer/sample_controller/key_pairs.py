"""Private keys, CSRs, and the pairs of key and certificate in Secrets."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from datetime import datetime
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .cluster import Object

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

DEFAULT_RSA_SIZE = 2048
DEFAULT_CURVE = 256
CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
#: Annotation of Secrets: when their certificate was stored.
ISSUED_AT = "sample-controller.example.com/issued-at"
#: The fields of a Certificate's ``subject`` that become attributes of the name.
SUBJECT = {
    "countries": NameOID.COUNTRY_NAME,
    "organizations": NameOID.ORGANIZATION_NAME,
    "organizationalUnits": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "localities": NameOID.LOCALITY_NAME,
    "provinces": NameOID.STATE_OR_PROVINCE_NAME,
    "streetAddresses": NameOID.STREET_ADDRESS,
    "postalCodes": NameOID.POSTAL_CODE,
}
#: The usages to request for a Certificate that sets none.
DEFAULT_USAGES = ("digital signature", "key encipherment")
KEY_USAGES = {
    "signing": "digital_signature",
    "digital signature": "digital_signature",
    "content commitment": "content_commitment",
    "key encipherment": "key_encipherment",
    "data encipherment": "data_encipherment",
    "key agreement": "key_agreement",
    "cert sign": "key_cert_sign",
    "crl sign": "crl_sign",
    "encipher only": "encipher_only",
    "decipher only": "decipher_only",
}
EXTENDED_KEY_USAGES = {
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "s/mime": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
}


class KeyPair(NamedTuple):
    """The key and the certificate in a Secret.

    :ivar leaf: the first certificate.
    :ivar issued: when the certificate was stored, None if the Secret does not say; Vault may backdate certificates.
    """

    key: PrivateKey
    leaf: x509.Certificate
    issued: datetime | None = None

    @property
    def fits(self) -> bool:
        """Whether the certificate is for the key."""
        return public_key_of(self.key) == public_key_of(self.leaf)


def read_key(secret: Object | None) -> PrivateKey | None:
    """Return the private key in a Secret, None if it is missing or unusable."""
    if secret is None:
        return None
    try:
        pem = base64.b64decode((secret.get("data") or {})["tls.key"])
        key = load_pem_private_key(pem, None)
    except (KeyError, binascii.Error, ValueError, TypeError):
        return None
    return key if isinstance(key, PrivateKey) else None


def read_pair(secret: Object | None) -> KeyPair | None:
    """Return the key and the certificate in a Secret, None if one of them is missing or unreadable."""
    key = read_key(secret)
    if secret is None or key is None:
        return None
    try:
        certificates = x509.load_pem_x509_certificates(base64.b64decode(secret["data"]["tls.crt"]))
    except (KeyError, binascii.Error, ValueError):
        return None
    return KeyPair(key, certificates[0], _issued_at(secret))


def _issued_at(secret: Object) -> datetime | None:
    try:
        return datetime.fromisoformat(secret["metadata"]["annotations"][ISSUED_AT])
    except (KeyError, TypeError, ValueError):
        return None


def generate_key(spec: dict[str, Any]) -> PrivateKey:
    """Return a new key for a Certificate's ``privateKey``."""
    algorithm, size = spec.get("algorithm") or "RSA", spec.get("size")
    if algorithm == "ECDSA":
        return ec.generate_private_key(CURVES[size or DEFAULT_CURVE])
    if algorithm == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, size or DEFAULT_RSA_SIZE)


def key_to_pem(key: PrivateKey, spec: dict[str, Any]) -> bytes:
    """Return a key in PEM, in the encoding of a Certificate's ``privateKey``."""
    pkcs8 = spec.get("encoding") == "PKCS8" or isinstance(key, ed25519.Ed25519PrivateKey)
    form = PrivateFormat.PKCS8 if pkcs8 else PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def build_csr(spec: dict[str, Any], key: PrivateKey) -> bytes:
    """Return a CSR in PEM for the names of a Certificate."""
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in spec.get("dnsNames") or []]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in spec.get("ipAddresses") or []]
    names += [x509.UniformResourceIdentifier(uri) for uri in spec.get("uris") or []]
    names += [x509.RFC822Name(address) for address in spec.get("emailAddresses") or []]
    names += [_other_name(entry) for entry in spec.get("otherNames") or []]
    subject = _subject(spec)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if names:
        # RFC 5280, 4.2.1.6: critical if there is no other name.
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
    if spec.get("encodeUsagesInRequest") is not False:
        builder = _add_usages(builder, usages(spec))
    if constraints := spec.get("nameConstraints"):
        builder = builder.add_extension(_name_constraints(constraints), critical=bool(constraints.get("critical")))
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else _digest(spec)
    return builder.sign(key, digest).public_bytes(Encoding.PEM)


def usages(spec: dict[str, Any]) -> list[str]:
    """Return the key usages to request for a Certificate."""
    listed = list(spec.get("usages") or DEFAULT_USAGES)
    return [*listed, "cert sign"] if spec.get("isCA") and "cert sign" not in listed else listed


def _add_usages(
    builder: x509.CertificateSigningRequestBuilder, listed: list[str]
) -> x509.CertificateSigningRequestBuilder:
    asked = {KEY_USAGES[usage] for usage in listed if usage in KEY_USAGES}
    if asked:
        flags = {flag: flag in asked for flag in dict.fromkeys([*KEY_USAGES.values()])}
        builder = builder.add_extension(x509.KeyUsage(**flags), critical=True)
    extended = [EXTENDED_KEY_USAGES[usage] for usage in listed if usage in EXTENDED_KEY_USAGES]
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    return builder


def _name_constraints(constraints: dict[str, Any]) -> x509.NameConstraints:
    def subtrees(described: dict[str, Any]) -> list[x509.GeneralName] | None:
        names: list[x509.GeneralName] = [x509.DNSName(domain) for domain in described.get("dnsDomains") or []]
        names += [x509.IPAddress(ipaddress.ip_network(block)) for block in described.get("ipRanges") or []]
        names += [x509.RFC822Name(address) for address in described.get("emailAddresses") or []]
        names += [x509.UniformResourceIdentifier(domain) for domain in described.get("uriDomains") or []]
        return names or None

    return x509.NameConstraints(
        subtrees(constraints.get("permitted") or {}), subtrees(constraints.get("excluded") or {})
    )


def _other_name(entry: dict[str, str]) -> x509.OtherName:
    """Return an otherName, which contains a UTF8String of less than 128 bytes.

    :raises ValueError: if the text is longer.
    """
    text = entry["utf8Value"].encode()
    if len(text) > 127:
        raise ValueError("an otherName is longer than 127 bytes")
    return x509.OtherName(x509.ObjectIdentifier(entry["oid"]), b"\x0c" + bytes([len(text)]) + text)


def _digest(spec: dict[str, Any]) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    algorithm = str(spec.get("signatureAlgorithm") or "")
    if "SHA384" in algorithm:
        return hashes.SHA384()
    return hashes.SHA512() if "SHA512" in algorithm else hashes.SHA256()


def _subject(spec: dict[str, Any]) -> x509.Name:
    if spec.get("literalSubject"):
        return x509.Name.from_rfc4514_string(spec["literalSubject"])
    described = spec.get("subject") or {}
    attributes = [
        x509.NameAttribute(oid, value) for field, oid in SUBJECT.items() for value in described.get(field) or []
    ]
    if described.get("serialNumber"):
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, described["serialNumber"]))
    if spec.get("commonName"):
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, spec["commonName"]))
    return x509.Name(attributes)


def public_key_of(item: PrivateKey | x509.Certificate) -> bytes:
    """Return a public key, to compare keys."""
    return item.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
