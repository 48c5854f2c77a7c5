// Package v1alpha1 is the API of the issuer: VaultIssuer and VaultClusterIssuer.
//
// +kubebuilder:object:generate=true
// +groupName=vaultissuer.example.com
package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/scheme"
)

var (
	// GroupVersion is the group and version of the API.
	GroupVersion  = schema.GroupVersion{Group: "vaultissuer.example.com", Version: "v1alpha1"}
	schemeBuilder = &scheme.Builder{GroupVersion: GroupVersion}
	// AddToScheme makes the API's kinds known.
	AddToScheme = schemeBuilder.AddToScheme
)

func init() {
	schemeBuilder.Register(&VaultIssuer{}, &VaultIssuerList{}, &VaultClusterIssuer{}, &VaultClusterIssuerList{})
}
