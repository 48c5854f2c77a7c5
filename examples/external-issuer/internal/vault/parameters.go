package vault

import (
	"strings"
	"time"

	"github.com/cert-manager/cert-manager/pkg/util/pki"
)

// parameters returns the parameters of a sign request. Vault takes the names from them and not from the CSR, unless its
// role is configured otherwise.
func parameters(csr []byte, ttl time.Duration) (map[string]any, error) {
	request, err := pki.DecodeX509CertificateRequestBytes(csr)
	if err != nil {
		return nil, err
	}
	addresses := make([]string, len(request.IPAddresses))
	for i, address := range request.IPAddresses {
		addresses[i] = address.String()
	}
	uris := make([]string, len(request.URIs))
	for i, uri := range request.URIs {
		uris[i] = uri.String()
	}
	return map[string]any{
		"csr":                  string(csr),
		"common_name":          request.Subject.CommonName,
		"alt_names":            strings.Join(append(request.DNSNames, request.EmailAddresses...), ","),
		"ip_sans":              strings.Join(addresses, ","),
		"uri_sans":             uris, // a list, because a URI may contain commas
		"exclude_cn_from_sans": true,
		"ttl":                  ttl.String(),
	}, nil
}
