"""Mistakes in what the API server is told to refuse: in the CRDs of the sample controller's own group."""

from __future__ import annotations

from ..mutants import Defect, Edit, defect

ISSUERS = "crds/issuers.yaml"
CLUSTER_ISSUERS = "crds/clusterissuers.yaml"
_PATH = """                      maxLength: 1024
                      x-kubernetes-validations:
                        - rule: "!self.matches('(^|/)[.][.](/|$)')"
"""

DEFECTS: tuple[Defect, ...] = (
    defect(
        "admission-empty-path",
        "VI-ADMISSION-001",
        ISSUERS,
        """for example pki_int/sign/example-dot-com.
                      type: string
                      minLength: 1
""",
        """for example pki_int/sign/example-dot-com.
                      type: string
""",
        "`required` was taken to mean `not empty`",
        also=("VI-ADMISSION-011",),
    ),
    defect(
        "admission-server-optional-for-cluster-issuers",
        "VI-ADMISSION-001",
        CLUSTER_ISSUERS,
        "required: [server, path, auth]",
        "required: [path, auth]",
        "the server of ClusterIssuers was to come from a flag once",
        also=("VI-ADMISSION-011",),
    ),
    defect(
        "admission-kubernetes-with-neither",
        "VI-ADMISSION-002",
        ISSUERS,
        "has(self.secretRef) != has(self.serviceAccountRef)",
        '"!(has(self.secretRef) && has(self.serviceAccountRef))"',
        "the rule says `not both` and forgets `at least one`",
    ),
    defect(
        "admission-no-method",
        "VI-ADMISSION-002",
        CLUSTER_ISSUERS,
        ".filter(given, given).size() == 1",
        ".filter(given, given).size() <= 1",
        "the rule says `at most one` and forgets `at least one`",
        also=("VI-ADMISSION-010", "VI-ADMISSION-011"),
    ),
    defect(
        "admission-kubernetes-with-both",
        "VI-ADMISSION-003",
        ISSUERS,
        "has(self.secretRef) != has(self.serviceAccountRef)",
        "has(self.secretRef) || has(self.serviceAccountRef)",
        "`at least one` was written where `exactly one` was meant",
    ),
    defect(
        "admission-two-methods",
        "VI-ADMISSION-003",
        CLUSTER_ISSUERS,
        ".filter(given, given).size() == 1",
        ".filter(given, given).size() >= 1",
        "`at least one` was written where `exactly one` was meant",
    ),
    defect(
        "admission-approle-without-role",
        "VI-ADMISSION-004",
        ISSUERS,
        "required: [roleId, secretRef]",
        "required: [secretRef]",
        "roleId was to be read from the Secret too",
        also=("VI-ADMISSION-011",),
    ),
    defect(
        "admission-empty-role-id",
        "VI-ADMISSION-005",
        ISSUERS,
        """                              description: RoleID of the AppRole.
                              type: string
                              minLength: 1
""",
        """                              description: RoleID of the AppRole.
                              type: string
""",
        "`required` was taken to mean `not empty`",
    ),
    defect(
        "admission-two-bundles",
        "VI-ADMISSION-006",
        ISSUERS,
        '"!(has(self.caBundle) && has(self.caBundleSecretRef))"',
        "\"!has(self.caBundle) || self.caBundle != b''\"",
        "the rule looks for an empty bundle instead of a second one",
    ),
    defect(
        "admission-certificate-without-key",
        "VI-ADMISSION-007",
        ISSUERS,
        "has(self.clientCertSecretRef) == has(self.clientKeySecretRef)",
        '"!has(self.clientKeySecretRef) || has(self.clientCertSecretRef)"',
        "the rule looks in one direction: a key needs a certificate",
    ),
    defect(
        "admission-parent-segment-at-the-end",
        "VI-ADMISSION-008",
        ISSUERS,
        _PATH,
        _PATH.replace("(^|/)[.][.](/|$)", "(^|/)[.][.]/"),
        "`..` was thought of at the beginning and in the middle",
    ),
    defect(
        "admission-two-dots-anywhere",
        "VI-ADMISSION-009",
        ISSUERS,
        _PATH,
        _PATH.replace("(^|/)[.][.](/|$)", "[.][.]"),
        "two dots were taken for a parent segment wherever they stand",
    ),
    defect(
        "admission-path-immutable",
        "VI-ADMISSION-010",
        ISSUERS,
        _PATH,
        _PATH
        + """                          message: a segment '..' would leave the path
                        - rule: self == oldSelf
""",
        "the path was thought to be part of an issuer's identity",
        also=("VI-ROTATION-005", "VI-ROTATION-008", "VI-SPEC-005"),
    ),
    defect(
        "admission-nameless",
        "VI-ADMISSION-011",
        ISSUERS,
        "required: [server, path, auth]",
        "required: [auth]",
        "one rule with one message for all that is missing",
        Edit(
            ISSUERS,
            "                    - rule: has(self.clientCertSecretRef) == has(self.clientKeySecretRef)\n",
            """                    - rule: has(self.server) && has(self.path)
                      message: the configuration is not complete
                    - rule: has(self.clientCertSecretRef) == has(self.clientKeySecretRef)
""",
        ),
    ),
)
