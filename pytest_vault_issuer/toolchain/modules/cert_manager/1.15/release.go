package main

import (
	"github.com/spf13/pflag"
	"k8s.io/utils/clock"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/logs"
	"github.com/cert-manager/cert-manager/pkg/metrics"
)

// ofRelease fills in what this release expects its main to make; later ones make it themselves.
func ofRelease(o *controller.ContextOptions, _ *pflag.FlagSet) {
	o.Clock = clock.RealClock{}
	o.Metrics = metrics.New(logs.Log, o.Clock)
}
