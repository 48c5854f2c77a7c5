package issuer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api/auth/approle"
	"github.com/hashicorp/vault/api/auth/kubernetes"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"example.com/vault-issuer/api/v1alpha1"
	"example.com/vault-issuer/internal/vault"
)

// tokenLifetime is the shortest lifetime that Kubernetes grants, in seconds. A token is used for one login.
const tokenLifetime = 600

// login authenticates a client of Vault with the method of an issuer.
func (s *Signer) login(ctx context.Context, connection *vault.Client, issuer v1alpha1.Issuer) error {
	namespace := s.namespaceOf(issuer)
	switch auth := issuer.GetVault().Auth; {
	case auth.TokenSecretRef != nil:
		token, err := s.secretValue(ctx, namespace, *auth.TokenSecretRef)
		if err != nil {
			return err
		}
		connection.SetToken(token)
		return nil
	case auth.AppRole != nil:
		secretID, err := s.secretValue(ctx, namespace, auth.AppRole.SecretRef)
		if err != nil {
			return err
		}
		method, err := approle.NewAppRoleAuth(
			strings.TrimSpace(auth.AppRole.RoleID),
			&approle.SecretID{FromString: secretID},
			approle.WithMountPath(cmp.Or(auth.AppRole.Path, "approle")),
		)
		if err != nil {
			return err
		}
		return connection.Login(ctx, method)
	case auth.Kubernetes != nil:
		token, err := s.serviceAccountToken(ctx, namespace, issuer)
		if err != nil {
			return err
		}
		mount := strings.Trim(strings.TrimPrefix(cmp.Or(auth.Kubernetes.MountPath, "kubernetes"), "/v1/auth/"), "/")
		method, err := kubernetes.NewKubernetesAuth(
			auth.Kubernetes.Role, kubernetes.WithServiceAccountToken(token), kubernetes.WithMountPath(mount),
		)
		if err != nil {
			return err
		}
		return connection.Login(ctx, method)
	}
	return errors.New("no way to authenticate is configured")
}

// serviceAccountToken returns the stored token, or a new one.
func (s *Signer) serviceAccountToken(ctx context.Context, namespace string, issuer v1alpha1.Issuer) (string, error) {
	config := issuer.GetVault().Auth.Kubernetes
	if config.SecretRef != nil {
		return s.secretValue(ctx, namespace, *config.SecretRef)
	}
	account := &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: config.ServiceAccountRef.Name},
	}
	// With the first audience, a role of Vault can admit only this issuer.
	own := "vault://" + issuer.GetName()
	if issuer.GetNamespace() != "" {
		own = "vault://" + issuer.GetNamespace() + "/" + issuer.GetName()
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences:         append([]string{own, issuer.GetVault().Server}, config.ServiceAccountRef.Audiences...),
		ExpirationSeconds: ptr.To[int64](tokenLifetime),
	}}
	if err := s.client.SubResource("token").Create(ctx, account, request); err != nil {
		return "", fmt.Errorf("request a token of the service account %s/%s: %w", namespace, account.Name, err)
	}
	return request.Status.Token, nil
}

// secretValue reads a key of a Secret from the API server, because a cache may be stale.
func (s *Signer) secretValue(ctx context.Context, namespace string, reference v1alpha1.SecretKey) (string, error) {
	key := cmp.Or(reference.Key, "token")
	secret := &corev1.Secret{}
	name := client.ObjectKey{Namespace: namespace, Name: reference.Name}
	if err := s.reader.Get(ctx, name, secret); err != nil {
		return "", fmt.Errorf("read the Secret %s: %w", name, err)
	}
	value := bytes.TrimSpace(secret.Data[key])
	if len(value) == 0 {
		return "", fmt.Errorf("the Secret %s has nothing under the key %q", name, key)
	}
	return string(value), nil
}

// namespaceOf returns the namespace of an issuer's Secrets and service accounts.
func (s *Signer) namespaceOf(issuer v1alpha1.Issuer) string {
	if namespace := issuer.GetNamespace(); namespace != "" {
		return namespace
	}
	return s.clusterResourceNamespace
}
