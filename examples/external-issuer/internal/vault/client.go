// Package vault is a client of Vault: it logs in, reads the health, and lets Vault sign a CSR.
package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// timeout limits one call, so that a Vault that never answers does not delay other issuers for long.
	timeout = 10 * time.Second
	// longest limits the part of Vault's error message that the controller passes on, in bytes.
	longest = 512
)

// Client is a connection to one Vault, for one use.
type Client struct {
	api *api.Client
}

// New returns a client of the Vault at a URL.
// It trusts only the CAs in caBundle (PEM), or the system trust store if caBundle is empty.
func New(server string, caBundle []byte) (*Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = server
	config.Timeout = timeout
	// The controller itself retries, and reports the failure in the status.
	config.MaxRetries = 0
	var roots *x509.CertPool
	if len(caBundle) > 0 {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(caBundle) {
			return nil, errors.New("caBundle holds no certificate")
		}
	}
	transport := config.HttpClient.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, err
	}
	// Ignore VAULT_TOKEN and VAULT_NAMESPACE of the environment.
	client.ClearToken()
	client.ClearNamespace()
	return &Client{api: client}, nil
}

// Close ends the connections.
func (c *Client) Close() {
	c.api.CloneConfig().HttpClient.CloseIdleConnections()
}

// SetToken sets the token of all further calls.
func (c *Client) SetToken(token string) {
	c.api.SetToken(token)
}

// Login logs in with an authentication method.
func (c *Client) Login(ctx context.Context, method api.AuthMethod) error {
	if _, err := c.api.Auth().Login(ctx, method); err != nil {
		return fmt.Errorf("log in to Vault: %w", explain(err))
	}
	return nil
}

// Healthy returns an error with the reason if Vault cannot serve requests.
func (c *Client) Healthy(ctx context.Context) error {
	health, err := c.api.Sys().HealthWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read Vault's health: %w", explain(err))
	}
	switch {
	case health.RemovedFromCluster != nil && *health.RemovedFromCluster:
		return errors.New("this node of Vault was removed from its cluster")
	case !health.Initialized:
		return errors.New("Vault is not initialized")
	case health.Sealed:
		return errors.New("Vault is sealed")
	case health.HAConnectionHealthy != nil && !*health.HAConnectionHealthy:
		return errors.New("this standby of Vault cannot reach the active node")
	}
	return nil
}

// RefusedError means that Vault refuses to sign. A retry would not help.
type RefusedError struct{ error }

// Sign lets Vault sign a CSR at a path. It returns the certificates of the response in PEM, the signed one first.
func (c *Client) Sign(ctx context.Context, path string, csr []byte, ttl time.Duration) ([]byte, error) {
	parameters, err := parameters(csr, ttl)
	if err != nil {
		return nil, RefusedError{err}
	}
	response, err := c.api.Logical().WriteWithContext(ctx, path, parameters)
	if err != nil {
		return nil, fmt.Errorf("have Vault sign: %w", refused(err))
	}
	if response == nil {
		return nil, RefusedError{errors.New("Vault's response to the sign request is empty")}
	}
	leaf, _ := response.Data["certificate"].(string)
	if leaf == "" {
		return nil, RefusedError{errors.New("Vault's response to the sign request contains no certificate")}
	}
	certificates := []string{leaf}
	chain, _ := response.Data["ca_chain"].([]any)
	for _, entry := range chain {
		if text, ok := entry.(string); ok {
			certificates = append(certificates, text)
		}
	}
	if issuer, ok := response.Data["issuing_ca"].(string); ok && len(chain) == 0 {
		certificates = append(certificates, issuer)
	}
	return []byte(strings.Join(certificates, "\n")), nil
}

// refused makes final responses a RefusedError. Other failures are temporary.
func refused(err error) error {
	var response *api.ResponseError
	if errors.As(err, &response) && response.StatusCode < http.StatusInternalServerError &&
		response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusPreconditionFailed {
		return RefusedError{explain(err)}
	}
	return explain(err)
}

// explain returns an error that is safe to show: it contains only Vault's own error message, shortened. A server other
// than Vault could put anything into its response.
func explain(err error) error {
	var response *api.ResponseError
	if !errors.As(err, &response) {
		return shortened(err.Error())
	}
	if response.RawError || len(response.Errors) == 0 {
		return fmt.Errorf("the server answered %d", response.StatusCode)
	}
	return shortened(fmt.Sprintf("Vault answered %d: %s", response.StatusCode, strings.Join(response.Errors, "; ")))
}

func shortened(text string) error {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return errors.New(text)
}
