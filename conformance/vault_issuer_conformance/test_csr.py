"""CSRs as real clusters have them: keys, names and encodings. None of it depends on the kind of issuer object."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from pytest_vault_issuer import (
    ApiError,
    CertificateRequest,
    Issuer,
    Object,
    Sandbox,
    SigningRequest,
    common_name_of,
    condition,
    generate_key,
    names_of,
    requirement,
)

from .helpers import REFUSED, alternating, is_final

#: An otherName as Active Directory uses it: the user principal name.
PRINCIPAL = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
ISSUER = alternating(("kind",), [("Issuer",)])
CLUSTER_ISSUER = alternating(("kind",), [("ClusterIssuer",)])


def host() -> str:
    return f"{secrets.token_hex(4)}.example.test"


def from_parameters(sandbox: Sandbox, kind: str, **role: object) -> Issuer:
    """Return an issuer object whose role takes the names from the parameters of the sign request, not from the CSR."""
    parameters = {"use_csr_sans": False, "use_csr_common_name": False, "cn_validations": ["disabled"]}
    return sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role=parameters | role))


def with_names(*names: x509.GeneralName, critical: bool = False) -> SigningRequest:
    """Return a CSR with alternative names of any type, and without a subject."""
    key = generate_key()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=critical)
    csr = builder.sign(key, hashes.SHA256())
    return SigningRequest(csr.public_bytes(Encoding.PEM).decode(), key)


# -- keys ---------------------------------------------------------------------------------------


@requirement("VI-CSR-001")
@ISSUER
def test_large_and_rare_keys_are_supported(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    requests = {}
    for key_type in ("rsa-3072", "rsa-8192", "ecdsa-521"):
        name = host()
        requests[key_type] = sandbox.request(issuer, SigningRequest.build(name, dns=[name], key_type=key_type))
    for key_type, request in requests.items():
        request.wait_issued()
        assert request.signing.matches(request.certificate()), (
            f"expected a certificate for the {key_type} key, saw one for another key"
        )


# -- names --------------------------------------------------------------------------------------


def assert_sent(sandbox: Sandbox, kind: str, **names: list[str]) -> None:
    """Check that names of a CSR are in its certificate, at a role that takes them from the parameters alone.

    :param names: by type, as :meth:`SigningRequest.build` takes them.
    """
    given: dict[str, Any] = {"dns": [host()]} | names
    signing = SigningRequest.build(**given)
    seen = names_of(sandbox.issued(from_parameters(sandbox, kind), signing).certificate())
    for field, values in names.items():
        assert sorted(seen[field]) == sorted(values), f"expected exactly the {field} of the CSR, unchanged"


@requirement("VI-CSR-002")
@CLUSTER_ISSUER
def test_email_addresses_are_sent(sandbox: Sandbox, kind: str) -> None:
    assert_sent(sandbox, kind, emails=[f"{secrets.token_hex(3)}@example.test", f"a.b+c@{host()}"])


@requirement("VI-CSR-003")
@ISSUER
def test_csr_with_names_of_any_type_is_signed(sandbox: Sandbox, kind: str) -> None:
    user = f"{secrets.token_hex(4)}@example.test"
    principal = x509.OtherName(PRINCIPAL, b"\x0c" + bytes([len(user)]) + user.encode())
    directory = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, secrets.token_hex(4))]))
    dns = x509.DNSName(host())
    issuer = sandbox.ready_issuer(kind, pki=sandbox.vault.pki(role={"allowed_other_sans": ["*"]}))
    other = sandbox.request(issuer, with_names(dns, principal))
    requests = [
        other,
        sandbox.request(issuer, with_names(dns, x509.RFC822Name(user))),
        sandbox.request(issuer, with_names(dns, directory, x509.RegisteredID(PRINCIPAL))),
    ]
    for request in requests:
        request.wait_issued()
    names = list(other.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    assert principal in names, f"expected the otherName that Vault takes from the CSR, saw {names}"


@requirement("VI-CSR-004")
@CLUSTER_ISSUER
def test_unusual_dns_names_are_sent_unchanged(sandbox: Sandbox, kind: str) -> None:
    longest = ".".join([secrets.token_hex(31)] * 3 + [secrets.token_hex(30), "a"])
    names = [
        f"xn--bcher-kva.{host()}",
        f"{'a' * 55}{secrets.token_hex(4)}.example.test",
        longest[:253],
        f"MiXeD-{secrets.token_hex(3)}.Example.TEST",
        f"1.0.{host()}",
        secrets.token_hex(4),
    ]
    assert_sent(sandbox, kind, dns=names)


@requirement("VI-CSR-005")
@ISSUER
def test_many_names_are_sent(sandbox: Sandbox, kind: str) -> None:
    names = [f"{number}.{host()}" for number in range(100)]
    addresses = [f"10.1.{number}.1" for number in range(50)]
    assert_sent(sandbox, kind, dns=names, ips=addresses)


@requirement("VI-CSR-006")
@CLUSTER_ISSUER
def test_uri_with_a_comma_is_one_uri(sandbox: Sandbox, kind: str) -> None:
    assert_sent(sandbox, kind, uris=[f"https://{host()}/a,b;c=d,e", f"spiffe://{host()}/ns/x"])


@requirement("VI-CSR-007")
@ISSUER
def test_csr_with_a_critical_extension_and_no_subject_is_signed(sandbox: Sandbox, kind: str) -> None:
    name = host()
    request = sandbox.issued(sandbox.ready_issuer(kind), with_names(x509.DNSName(name), critical=True))
    assert names_of(request.certificate())["dns"] == [name], "expected the DNS name of the CSR"


@requirement("VI-CSR-013")
@CLUSTER_ISSUER
def test_csr_with_an_empty_attribute_is_signed(sandbox: Sandbox, kind: str) -> None:
    # Istio's workloads request certificates with an empty organization.
    uri = f"spiffe://cluster.local/ns/{secrets.token_hex(4)}/sa/default"
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "")])
    builder = x509.CertificateSigningRequestBuilder(subject).add_extension(names, critical=True)
    key = generate_key()
    csr = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    request = sandbox.issued(sandbox.ready_issuer(kind), SigningRequest(csr, key))
    assert names_of(request.certificate())["uris"] == [uri], "expected the URI of the CSR"


@requirement("VI-CSR-008")
@ISSUER
def test_any_text_can_be_the_common_name(sandbox: Sandbox, kind: str) -> None:
    issuer = from_parameters(sandbox, kind)
    texts = [f"Größe 東京 {secrets.token_hex(3)}", f"Doe, Jane {secrets.token_hex(3)}", secrets.token_hex(32)]
    requests = {text: sandbox.request(issuer, SigningRequest.build(text, dns=[host()])) for text in texts}
    for text, request in requests.items():
        request.wait_issued()
        assert common_name_of(request.certificate()) == text, "expected the common name of the CSR"


# -- encodings ----------------------------------------------------------------------------------


def assert_each_is_signed(sandbox: Sandbox, issuer: Issuer, forms: dict[str, SigningRequest]) -> None:
    requests = {form: sandbox.request(issuer, signing) for form, signing in forms.items()}
    for form, request in requests.items():
        request.wait_issued()
        assert request.signing.matches(request.certificate()), (
            f"expected a certificate for the key of the CSR {form}, saw one for another key"
        )


def new_signing() -> SigningRequest:
    name = host()
    return SigningRequest.build(name, dns=[name])


def rewritten(change: Callable[[str], str]) -> SigningRequest:
    """Return a new CSR with a changed PEM text."""
    signing = new_signing()
    return SigningRequest(change(signing.pem), signing.key)


@requirement("VI-CSR-009")
@CLUSTER_ISSUER
def test_line_breaks_of_the_csr_do_not_matter(sandbox: Sandbox, kind: str) -> None:
    forms = {
        "with CRLF": rewritten(lambda pem: pem.replace("\n", "\r\n")),
        "without a final line break": rewritten(lambda pem: pem.rstrip("\n")),
    }
    assert_each_is_signed(sandbox, sandbox.ready_issuer(kind), forms)


@requirement("VI-CSR-010")
@ISSUER
def test_text_before_the_csr_does_not_matter(sandbox: Sandbox, kind: str) -> None:
    text = "Certificate Request:\n    Data:\n        Version: 1 (0x0)\n        Subject: CN = an example\n"
    forms = {"after text, as openssl req -text writes it": rewritten(lambda pem: text + pem)}
    assert_each_is_signed(sandbox, sandbox.ready_issuer(kind), forms)


@requirement("VI-CSR-011")
@CLUSTER_ISSUER
def test_old_label_of_csrs_is_supported(sandbox: Sandbox, kind: str) -> None:
    old = rewritten(lambda pem: pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"))
    assert_each_is_signed(sandbox, sandbox.ready_issuer(kind), {"with its old label": old})


def ended(item: Object) -> bool:
    return is_final(item) or condition(item, "InvalidRequest").get("status") == "True"


def undecodable(sandbox: Sandbox) -> dict[str, str]:
    """Return what is not a CSR, in PEM or not, by description."""
    der = x509.load_pem_x509_csr(new_signing().pem.encode()).public_bytes(Encoding.DER)
    unreadable = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\xff" + secrets.token_bytes(20))
    names = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(unreadable, critical=False)
    return {
        "a text": secrets.token_hex(20),
        "a certificate": sandbox.authority.pem,
        "a CSR that ends early": pem_of(der[: len(der) // 2]),
        "a CSR with more bytes at the end": pem_of(der + b"\0\1"),
        "a CSR whose alternative names are no names": to_text(names),
    }


def to_text(builder: x509.CertificateSigningRequestBuilder) -> str:
    return builder.sign(generate_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def pem_of(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


@requirement("VI-CSR-012")
@ISSUER
def test_request_without_a_readable_csr_fails(sandbox: Sandbox, kind: str) -> None:
    issuer = sandbox.ready_issuer(kind)
    requests: dict[str, CertificateRequest] = {}
    for what, text in undecodable(sandbox).items():
        try:
            requests[what] = sandbox.request(issuer, SigningRequest(text, generate_key()))
        except ApiError as error:
            if error.code not in REFUSED:  # a rejection by the API server is enough
                raise
    for what, request in requests.items():
        request.wait(ended, f"to fail, because it contains {what}", timeout=sandbox.timeouts.retry)
        assert not request.certificates(), f"expected no certificate for {what}, saw one"
