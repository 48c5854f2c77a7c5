package issuer

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"example.com/vault-issuer/api/v1alpha1"
)

const (
	firstWait = time.Second
	lastWait  = 5 * time.Minute
)

// watchSecrets checks an issuer again when a Secret that it refers to changes. issuer-lib itself checks an issuer again
// only when the issuer changes.
func (s *Signer) watchSecrets(
	_ context.Context, kind schema.GroupVersionKind, _ ctrl.Manager, build *builder.Builder,
) error {
	build.WithOptions(controller.Options{
		MaxConcurrentReconciles: s.workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstWait, lastWait),
	})
	switch kind.Kind {
	case "VaultIssuer":
		build.Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(
			func(ctx context.Context, secret client.Object) []reconcile.Request {
				issuers := &v1alpha1.VaultIssuerList{}
				return s.affected(ctx, secret, issuers, func() (found []v1alpha1.Issuer) {
					for i := range issuers.Items {
						found = append(found, &issuers.Items[i])
					}
					return found
				})
			}))
	case "VaultClusterIssuer":
		build.Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(
			func(ctx context.Context, secret client.Object) []reconcile.Request {
				issuers := &v1alpha1.VaultClusterIssuerList{}
				return s.affected(ctx, secret, issuers, func() (found []v1alpha1.Issuer) {
					for i := range issuers.Items {
						found = append(found, &issuers.Items[i])
					}
					return found
				})
			}))
	}
	return nil
}

// affected returns the issuers of a list that refer to a Secret.
func (s *Signer) affected(
	ctx context.Context, secret client.Object, list client.ObjectList, items func() []v1alpha1.Issuer,
) (requests []reconcile.Request) {
	if err := s.client.List(ctx, list); err != nil {
		log.FromContext(ctx).Error(err, "list the issuers that a Secret concerns")
		return nil
	}
	for _, issuer := range items() {
		if s.namespaceOf(issuer) == secret.GetNamespace() && secretName(issuer.GetVault().Auth) == secret.GetName() {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(issuer)})
		}
	}
	return requests
}

func secretName(auth v1alpha1.Auth) string {
	switch {
	case auth.TokenSecretRef != nil:
		return auth.TokenSecretRef.Name
	case auth.AppRole != nil:
		return auth.AppRole.SecretRef.Name
	case auth.Kubernetes != nil && auth.Kubernetes.SecretRef != nil:
		return auth.Kubernetes.SecretRef.Name
	}
	return ""
}
