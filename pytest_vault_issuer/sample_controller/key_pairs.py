"""Private keys, CSRs, and the pairs of key and certificate in Secrets."""

from __future__ import annotations

import base64
import binascii
import ipaddress
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
from cryptography.x509.oid import NameOID

from .cluster import Object

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

DEFAULT_RSA_SIZE = 2048
DEFAULT_CURVE = 256
CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
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


class KeyPair(NamedTuple):
    """The key and the certificate in a Secret.

    :ivar leaf: the first certificate.
    """

    key: PrivateKey
    leaf: x509.Certificate

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
    return KeyPair(key, certificates[0])


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
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(spec))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.PEM)


def _subject(spec: dict[str, Any]) -> x509.Name:
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
