// Package vault speaks to Vault: log in, read the health, have a CSR signed.
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
	// timeout is how long one call may take: a Vault that never answers is to hold up nobody else for long.
	timeout = 10 * time.Second
	// longest is how much of what Vault says of an error is passed on.
	longest = 512
)

// Client is a connection to one Vault, made for one use.
type Client struct {
	api *api.Client
}

// New returns a client of the Vault at a URL.
// Vault is verified by the CAs in caBundle, PEM, and by no others; by the system's roots where it is empty.
func New(server string, caBundle []byte) (*Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address = server
	config.Timeout = timeout
	// What fails is tried again by the controller, which says so in the status meanwhile.
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
	// Of the issuer's own environment nothing is used.
	client.ClearToken()
	client.ClearNamespace()
	return &Client{api: client}, nil
}

// Close ends the connections.
func (c *Client) Close() {
	c.api.CloneConfig().HttpClient.CloseIdleConnections()
}

// SetToken has further calls authenticated by a token.
func (c *Client) SetToken(token string) {
	c.api.SetToken(token)
}

// Login logs in by a method.
func (c *Client) Login(ctx context.Context, method api.AuthMethod) error {
	if _, err := c.api.Auth().Login(ctx, method); err != nil {
		return fmt.Errorf("log in to Vault: %w", explain(err))
	}
	return nil
}

// Healthy returns an error that says why Vault cannot serve requests.
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

// RefusedError is an answer in which Vault refuses to sign; asking again would not help.
type RefusedError struct{ error }

// Sign has Vault sign a CSR at a path and returns the certificates of the answer in PEM, the signed one first.
func (c *Client) Sign(ctx context.Context, path string, csr []byte, ttl time.Duration) ([]byte, error) {
	parameters, err := parameters(csr, ttl)
	if err != nil {
		return nil, RefusedError{err}
	}
	answer, err := c.api.Logical().WriteWithContext(ctx, path, parameters)
	if err != nil {
		return nil, fmt.Errorf("have Vault sign: %w", refused(err))
	}
	if answer == nil {
		return nil, RefusedError{errors.New("Vault's answer to the signing is empty")}
	}
	leaf, _ := answer.Data["certificate"].(string)
	if leaf == "" {
		return nil, RefusedError{errors.New("Vault's answer to the signing holds no certificate")}
	}
	certificates := []string{leaf}
	chain, _ := answer.Data["ca_chain"].([]any)
	for _, entry := range chain {
		if text, ok := entry.(string); ok {
			certificates = append(certificates, text)
		}
	}
	if issuer, ok := answer.Data["issuing_ca"].(string); ok && len(chain) == 0 {
		certificates = append(certificates, issuer)
	}
	return []byte(strings.Join(certificates, "\n")), nil
}

// refused tells the answers that are final from the failures that may pass.
func refused(err error) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError &&
		answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusPreconditionFailed {
		return RefusedError{explain(err)}
	}
	return explain(err)
}

// explain returns an error that may be shown to everybody: of an answer only what Vault itself says of the error, and
// not at any length. Whatever else answers in Vault's place may have put anything into its answer.
func explain(err error) error {
	var answer *api.ResponseError
	if !errors.As(err, &answer) {
		return shortened(err.Error())
	}
	if answer.RawError || len(answer.Errors) == 0 {
		return fmt.Errorf("the server answered %d", answer.StatusCode)
	}
	return shortened(fmt.Sprintf("Vault answered %d: %s", answer.StatusCode, strings.Join(answer.Errors, "; ")))
}

func shortened(text string) error {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return errors.New(text)
}
