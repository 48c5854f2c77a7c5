package main

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/cert-manager/cert-manager/pkg/controller"
)

// ofRelease adds the flags of this release that earlier ones do not have. Without it, as the zero value of the
// library's options, a Certificate that failed is retried in a tight loop; the defaults are those of cert-manager's own
// command.
func ofRelease(o *controller.ContextOptions, flags *pflag.FlagSet) {
	flags.DurationVar(&o.CertificateRequestMinimumBackoffDuration, "certificate-request-minimum-backoff-duration", time.Hour, "wait after the first failed request of a Certificate")
}
