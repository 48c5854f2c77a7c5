// Package issuer contains the functions that the controllers of issuer-lib call: check an issuer, and sign a request.
package issuer

import (
	"context"
	"errors"
	"fmt"
	"time"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	meta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/cert-manager/cert-manager/pkg/util/pki"
	issuerapi "github.com/cert-manager/issuer-lib/api/v1alpha1"
	"github.com/cert-manager/issuer-lib/controllers"
	"github.com/cert-manager/issuer-lib/controllers/signer"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"example.com/vault-issuer/api/v1alpha1"
	"example.com/vault-issuer/internal/vault"
)

const (
	fieldOwner = "vaultissuer.example.com"
	// maxRetry limits the time of retries after temporary failures.
	maxRetry = time.Hour
)

// Signer lets the Vault of an issuer sign requests.
type Signer struct {
	client                   client.Client
	reader                   client.Reader
	clusterResourceNamespace string
	workers                  int
}

// SetupWithManager adds the controllers of both kinds and of CertificateRequests.
func SetupWithManager(
	ctx context.Context, manager ctrl.Manager, clusterResourceNamespace string, workers int,
) error {
	s := &Signer{manager.GetClient(), manager.GetAPIReader(), clusterResourceNamespace, workers}
	return (&controllers.CombinedController{
		IssuerTypes:        []issuerapi.Issuer{&v1alpha1.VaultIssuer{}},
		ClusterIssuerTypes: []issuerapi.Issuer{&v1alpha1.VaultClusterIssuer{}},
		FieldOwner:         fieldOwner,
		MaxRetryDuration:   maxRetry,
		Check:              s.check,
		Sign:               s.sign,
		EventRecorder:      manager.GetEventRecorderFor(fieldOwner),
		// Like the issuers of cert-manager, set status.ca, which becomes ca.crt.
		SetCAOnCertificateRequest:      true,
		DisableKubernetesCSRController: true,
		PreSetupWithManager:            s.watchSecrets,
	}).SetupWithManager(ctx, manager)
}

// check returns an error unless Vault is healthy and the login succeeds. It does not check whether the token may sign.
func (s *Signer) check(ctx context.Context, object issuerapi.Issuer) error {
	issuer := object.(v1alpha1.Issuer)
	connection, err := vault.New(issuer.GetVault().Server, issuer.GetVault().CABundle)
	if err != nil {
		return err
	}
	defer connection.Close()
	// Before the login, because a Vault that is not initialized answers a login with "sealed".
	if err := connection.Healthy(ctx); err != nil {
		return err
	}
	return s.login(ctx, connection, issuer)
}

func (s *Signer) sign(
	ctx context.Context, request signer.CertificateRequestObject, object issuerapi.Issuer,
) (signer.PEMBundle, error) {
	issuer := object.(v1alpha1.Issuer)
	// issuer-lib 0.9 does not know this condition, by which an approver or another controller ends a request.
	for _, condition := range request.GetConditions() {
		if condition.Type == certmanager.CertificateRequestConditionInvalidRequest &&
			condition.Status == meta.ConditionTrue {
			return signer.PEMBundle{}, signer.PermanentError{Err: errors.New("the request has the condition InvalidRequest")}
		}
	}
	details, err := request.GetCertificateDetails()
	if err != nil {
		return signer.PEMBundle{}, signer.PermanentError{Err: err}
	}
	connection, err := vault.New(issuer.GetVault().Server, issuer.GetVault().CABundle)
	if err != nil {
		return signer.PEMBundle{}, signer.IssuerError{Err: err}
	}
	defer connection.Close()
	if err := s.login(ctx, connection, issuer); err != nil {
		// The issuer no longer works. Its status shows this, and the request waits.
		return signer.PEMBundle{}, signer.IssuerError{Err: err}
	}
	certificates, err := connection.Sign(ctx, issuer.GetVault().Path, details.CSR, details.Duration)
	if refused := (vault.RefusedError{}); errors.As(err, &refused) {
		return signer.PEMBundle{}, signer.PermanentError{Err: err}
	}
	if err != nil {
		return signer.PEMBundle{}, err
	}
	bundle, err := bundle(certificates, details.CSR)
	if err != nil {
		return signer.PEMBundle{}, signer.PermanentError{Err: err}
	}
	return signer.PEMBundle(bundle), nil
}

// bundle sorts certificates into their chain, which starts with the first one, and checks that this one matches the CSR.
func bundle(certificates, csr []byte) (pki.PEMBundle, error) {
	chain, err := pki.DecodeX509CertificateChainBytes(certificates)
	if err != nil {
		return pki.PEMBundle{}, fmt.Errorf("the certificates of Vault's response: %w", err)
	}
	request, err := pki.DecodeX509CertificateRequestBytes(csr)
	if err != nil {
		return pki.PEMBundle{}, err
	}
	leaf := chain[0]
	if equal, err := pki.PublicKeysEqual(leaf.PublicKey, request.PublicKey); err != nil || !equal {
		return pki.PEMBundle{}, errors.New("the certificate of Vault's response is for another key")
	}
	if leaf.NotAfter.Before(time.Now()) {
		return pki.PEMBundle{}, errors.New("the certificate of Vault's response has expired")
	}
	sorted, err := pki.ParseSingleCertificateChain(chain)
	if err != nil {
		return pki.PEMBundle{}, fmt.Errorf("the chain of Vault's response: %w", err)
	}
	return sorted, nil
}
