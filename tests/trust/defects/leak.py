"""Mistakes that let out what nobody is to see."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

LOGGER = (
    Edit("vault.py", "REDIRECTS = (", "log = logging.getLogger(__name__)\nREDIRECTS = ("),
    Edit("vault.py", "import json\n", "import json\nimport logging\n"),
)

DEFECTS: tuple[Defect, ...] = (
    defect(
        "bad-token-is-quoted",
        "VI-LEAK-001",
        "credentials.py",
        'raise CredentialError("Vault\'s token has characters that no token has")',
        'raise CredentialError(f"Vault\'s token has characters that no token has: {token!r}")',
        "the message was to help to find the character",
        also=("VI-LEAK-002",),
    ),
    defect(
        "header-that-cannot-be-sent-is-quoted",
        "VI-LEAK-001",
        "credentials.py",
        "    if not token.isascii() or not token.isprintable():\n"
        '        raise CredentialError("Vault\'s token has characters that no token has")\n',
        "",
        "the HTTP library says which header it will not send, with its value; its words are passed on",
        Edit(
            "vault.py",
            "        except urllib3.exceptions.HTTPError as error:\n",
            "        except ValueError as error:\n"
            '            raise VaultError(f"the request cannot be sent: {error}") from error\n'
            "        except urllib3.exceptions.HTTPError as error:\n",
        ),
        also=("VI-LEAK-002",),
    ),
    defect(
        "refused-login-is-quoted",
        "VI-LEAK-001",
        "vault.py",
        '            raise _refusal("the login", status, answer)\n',
        '            raise _refusal(f"the login with {credentials}", status, answer)\n',
        "the message was to tell which login was refused",
        also=("VI-LEAK-002",),
    ),
    defect(
        "login-is-told-in-an-event",
        "VI-LEAK-001",
        "issuers.py",
        "            obtain_token(self._cluster, issuer, vault)\n",
        "            token = obtain_token(self._cluster, issuer, vault)\n"
        '            record(self._cluster, resource, item, "Normal", "LoggedIn", f"logged in, the token is {token}")\n',
        "an event was to show that the login works",
    ),
    defect(
        "login-is-logged",
        "VI-LEAK-002",
        "vault.py",
        '        token = (answer.get("auth") or {}).get("client_token")\n',
        '        token = (answer.get("auth") or {}).get("client_token")\n'
        '        log.info("logged in at %s: %s", path, answer)\n',
        "Vault's answer to the login was logged to see its policies, and stayed",
        *LOGGER,
    ),
    defect(
        "headers-are-logged",
        "VI-LEAK-002",
        "vault.py",
        "        try:\n            response = self._pool.request(\n",
        '        log.info("%s %s %s", method, url, headers)\n'
        "        try:\n            response = self._pool.request(\n",
        "every request is logged with its headers, as while the namespaces were being built",
        *LOGGER,
    ),
    defect(
        "failed-login-is-logged",
        "VI-LEAK-002",
        "vault.py",
        '            raise _refusal("the login", status, answer)\n',
        '            log.warning("login at %s with %s: %s", path, json.dumps(credentials), status)\n'
        '            raise _refusal("the login", status, answer)\n',
        "a login that fails is logged with all that was sent: what is refused was thought to be of no worth",
        *LOGGER,
    ),
    defect(
        "token-request-is-logged",
        "VI-LEAK-002",
        "cluster.py",
        '        token: str = answer["status"]["token"]\n',
        '        token: str = answer["status"]["token"]\n'
        '        logging.getLogger(__name__).info("token for %s: %s", audiences, answer["status"])\n',
        "the answer of the API server was logged for its date of expiry",
        Edit("cluster.py", "import json\n", "import json\nimport logging\n"),
    ),
    defect(
        "unexpected-error-is-logged-in-full",
        "VI-LEAK-002",
        "credentials.py",
        "    if not token.isascii() or not token.isprintable():\n"
        '        raise CredentialError("Vault\'s token has characters that no token has")\n',
        "",
        "an error that nobody thought of is logged with its message, as logging.exception does",
        Edit(
            "work_queue.py",
            'log.warning("%s: %s, again in %g s\\n%s", key, type(error).__name__, queue.retry(key), where)\n',
            'log.exception("%s: again in %g s%s", key, queue.retry(key), where[:0])\n',
        ),
    ),
    defect(
        "pages-are-repeated",
        "VI-LEAK-003",
        "vault.py",
        "    except ValueError:\n        return {}\n    return answer",
        '    except ValueError:\n        return {"errors": [text.decode(errors="replace")]}\n    return answer',
        "an answer that is no JSON was thought to be an error in plain words",
    ),
    defect(
        "messages-of-others-are-repeated",
        "VI-LEAK-003",
        "vault.py",
        '    errors = answer.get("errors")\n',
        '    errors = answer.get("errors") or ([answer["message"]] if "message" in answer else None)\n',
        "other servers put their errors into `message`, and a gateway's were to be seen too",
    ),
    defect(
        "health-is-repeated",
        "VI-LEAK-003",
        "vault.py",
        '        raise VaultError(f"the query of Vault\'s health was answered with status {status}")\n',
        '        raise VaultError(f"the query of Vault\'s health was answered with status {status}: {answer}")\n',
        "whatever answers instead of Vault was to be seen",
    ),
    defect(
        "longest-message-of-a-megabyte",
        "VI-LEAK-004",
        "conditions.py",
        "LONGEST_MESSAGE = 1024\n",
        "LONGEST_MESSAGE = 1024 * 1024\n",
        "the bound was thought to be in kilobytes",
    ),
    defect(
        "conditions-are-not-cut",
        "VI-LEAK-004",
        "conditions.py",
        '"message": shorten(message)}',
        '"message": message}',
        "events are cut, since the API server may refuse long ones; conditions are not",
    ),
    defect(
        "events-are-not-cut",
        "VI-LEAK-004",
        "events.py",
        '        "message": shorten(message),\n',
        '        "message": message,\n',
        "conditions are cut, and events were forgotten",
    ),
    defect(
        "each-error-is-cut",
        "VI-LEAK-004",
        "conditions.py",
        '    return message.encode()[:LONGEST_MESSAGE].decode(errors="ignore")\n',
        '    parts = [part.encode()[:LONGEST_MESSAGE].decode(errors="ignore") for part in message.split("; ")]\n'
        '    return "; ".join(parts)\n',
        "each of Vault's errors is cut; that there may be many was not thought of",
    ),
    defect(
        "answer-is-logged",
        "VI-LEAK-005",
        "vault.py",
        '        data = answer.get("data")\n',
        '        data = answer.get("data")\n        log.info("signed at %s: %s", path, data)\n',
        "the answer to a signing was thought to have nothing secret; that of `issue` has a private key",
        *LOGGER,
    ),
    defect(
        "unfit-answer-is-quoted",
        "VI-LEAK-005",
        "signing.py",
        "        check_fits(chain.certificates[0], csr)\n",
        "        try:\n"
        "            check_fits(chain.certificates[0], csr)\n"
        "        except UnfitCertificateError as error:\n"
        '            shown = {k: v for k, v in data.items() if k not in ("certificate", "ca_chain", "issuing_ca")}\n'
        '            raise UnfitCertificateError(f"{error}: {shown}") from error\n',
        "what is wrong with an answer was to be seen, without the long fields",
    ),
    defect(
        "key-beside-the-certificate",
        "VI-LEAK-005",
        "signing.py",
        "        chain = read_chain(data)\n",
        '        KEYS[request] = data.get("private_key", "").encode()\n        chain = read_chain(data)\n',
        "a key that Vault sends was thought to be wanted where the certificate is, as in a PEM bundle",
        Edit(
            "certificate_requests.py",
            "base64.b64encode(to_pem(chain.certificates)).decode()",
            'base64.b64encode(to_pem(chain.certificates) + KEYS.get(request["spec"]["request"], b"")).decode()',
        ),
        Edit("signing.py", "class RefusedError", "KEYS: dict[str, bytes] = {}\n\n\nclass RefusedError"),
        Edit("certificate_requests.py", "from .signing import", "from .signing import KEYS,"),
    ),
    defect(
        "secret-without-the-key-is-quoted",
        "VI-LEAK-001",
        "secret_values.py",
        """raise CredentialError(f"the Secret {namespace}/{name} has no key {key!r}")""",
        """raise CredentialError(f"the Secret {namespace}/{name} has no key {key!r}: {secret.get('data')}")""",
        "to see the key that was meant, all there is is shown",
        also=("VI-LEAK-002",),
    ),
    defect(
        "key-that-does-not-fit-is-quoted",
        "VI-LEAK-001",
        "tls.py",
        'raise CredentialError("the client certificate and its key do not fit together") from error',
        'raise CredentialError(f"the certificate and its key do not fit together: {client!r}"[:1000]) from error',
        "to see what does not fit, both are shown",
        also=("VI-LEAK-002",),
    ),
)
