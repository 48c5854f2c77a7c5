package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/cert-manager/cert-manager/pkg/controller"
)

// ofRelease adds the flags of this release that earlier ones do not have. Without them, as the zero value of the
// library's options, a Certificate that failed is retried in a tight loop; the defaults are those of cert-manager's own
// command.
func ofRelease(o *controller.ContextOptions, flags *pflag.FlagSet) {
	flags.DurationVar(&o.CertificateRequestMinimumBackoffDuration, "certificate-request-minimum-backoff-duration", time.Hour, "wait after the first failed request of a Certificate")
	flags.DurationVar(&o.CertificateRequestMaximumBackoffDuration, "certificate-request-maximum-backoff-duration", 32*time.Hour, "wait after many failed requests of a Certificate")
}
