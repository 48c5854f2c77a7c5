package v1alpha1

import (
	issuerapi "github.com/cert-manager/issuer-lib/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VaultIssuer signs CertificateRequests of its own namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Status",type="string",priority=1,JSONPath=".status.conditions[?(@.type==\"Ready\")].message"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type VaultIssuer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec                   `json:"spec"`
	Status issuerapi.IssuerStatus `json:"status,omitempty"`
}

// VaultIssuerList is a list of VaultIssuers.
//
// +kubebuilder:object:root=true
type VaultIssuerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultIssuer `json:"items"`
}

// VaultClusterIssuer signs CertificateRequests of every namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="Ready",type="string",JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Status",type="string",priority=1,JSONPath=".status.conditions[?(@.type==\"Ready\")].message"
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp"
type VaultClusterIssuer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec                   `json:"spec"`
	Status issuerapi.IssuerStatus `json:"status,omitempty"`
}

// VaultClusterIssuerList is a list of VaultClusterIssuers.
//
// +kubebuilder:object:root=true
type VaultClusterIssuerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VaultClusterIssuer `json:"items"`
}

// Spec is what both kinds have in common.
type Spec struct {
	Vault Vault `json:"vault"`
}

// Vault says where Vault is, where it signs, and how to authenticate.
type Vault struct {
	// Server is the URL of Vault, for example https://vault.example.com:8200.
	// +kubebuilder:validation:Pattern=`^https?://.+`
	Server string `json:"server"`
	// Path is where Vault signs, without /v1, for example pki_int/sign/example-dot-com.
	// +kubebuilder:validation:MinLength=1
	Path string `json:"path"`
	// CABundle holds, in PEM, the CAs to trust Vault by; without it the system's roots are trusted.
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
	Auth     Auth   `json:"auth"`
}

// Auth is one of the ways to authenticate.
//
// +kubebuilder:validation:XValidation:rule="[has(self.tokenSecretRef), has(self.appRole), has(self.kubernetes)].filter(given, given).size() == 1",message="exactly one way to authenticate is needed"
type Auth struct {
	// TokenSecretRef names the Secret with a token of Vault.
	// +optional
	TokenSecretRef *SecretKey `json:"tokenSecretRef,omitempty"`
	// AppRole logs in with a RoleID and a SecretID.
	// +optional
	AppRole *AppRole `json:"appRole,omitempty"`
	// Kubernetes logs in with a token of a service account.
	// +optional
	Kubernetes *Kubernetes `json:"kubernetes,omitempty"`
}

// AppRole logs in with a RoleID and a SecretID.
type AppRole struct {
	// Path is where the method is mounted.
	// +optional
	// +kubebuilder:default=approle
	Path string `json:"path,omitempty"`
	// +kubebuilder:validation:MinLength=1
	RoleID string `json:"roleId"`
	// SecretRef names the Secret and the key with the SecretID.
	// +kubebuilder:validation:XValidation:rule="has(self.key) && self.key != ''",message="the key of the SecretID is needed"
	SecretRef SecretKey `json:"secretRef"`
}

// Kubernetes logs in with a token of a service account, stored or requested.
//
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) != has(self.serviceAccountRef)",message="exactly one of secretRef and serviceAccountRef is needed"
type Kubernetes struct {
	// MountPath is where the method is mounted, with /v1.
	// +optional
	// +kubebuilder:default=/v1/auth/kubernetes
	MountPath string `json:"mountPath,omitempty"`
	// Role is the role of Vault to log in with.
	// +kubebuilder:validation:MinLength=1
	Role string `json:"role"`
	// SecretRef names the Secret with a stored token.
	// +optional
	SecretRef *SecretKey `json:"secretRef,omitempty"`
	// ServiceAccountRef names the service account to request a token of.
	// +optional
	ServiceAccountRef *ServiceAccount `json:"serviceAccountRef,omitempty"`
}

// SecretKey is a key of a Secret.
type SecretKey struct {
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Key is token where it is left out.
	// +optional
	Key string `json:"key,omitempty"`
}

// ServiceAccount is a service account, and for whom its tokens are.
type ServiceAccount struct {
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Audiences are asked for besides vault://namespace/name, or vault://name of a VaultClusterIssuer.
	// +optional
	Audiences []string `json:"audiences,omitempty"`
}

// Issuer is either of the two kinds.
//
// +kubebuilder:object:generate=false
type Issuer interface {
	issuerapi.Issuer
	GetVault() *Vault
}

var (
	_ Issuer = &VaultIssuer{}
	_ Issuer = &VaultClusterIssuer{}
)

// GetVault returns the configuration.
func (i *VaultIssuer) GetVault() *Vault { return &i.Spec.Vault }

// GetConditions returns the conditions of the status.
func (i *VaultIssuer) GetConditions() []metav1.Condition { return i.Status.Conditions }

// GetIssuerTypeIdentifier returns what Kubernetes' own signing requests call the kind by.
func (i *VaultIssuer) GetIssuerTypeIdentifier() string { return "vaultissuers." + GroupVersion.Group }

// GetVault returns the configuration.
func (i *VaultClusterIssuer) GetVault() *Vault { return &i.Spec.Vault }

// GetConditions returns the conditions of the status.
func (i *VaultClusterIssuer) GetConditions() []metav1.Condition { return i.Status.Conditions }

// GetIssuerTypeIdentifier returns what Kubernetes' own signing requests call the kind by.
func (i *VaultClusterIssuer) GetIssuerTypeIdentifier() string {
	return "vaultclusterissuers." + GroupVersion.Group
}
