// Command webhook runs cert-manager's admission webhook with the flags of cert-manager's own command.
//
// cert-manager publishes its library as a Go module but not its own main package, and the webhook is internal to that
// module. So this main of ours is built inside a copy of the module, whose go.mod and go.sum pin everything else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	config "github.com/cert-manager/cert-manager/internal/apis/config/webhook"
	"github.com/cert-manager/cert-manager/internal/webhook"
	"github.com/cert-manager/cert-manager/pkg/logs"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
	"github.com/cert-manager/cert-manager/pkg/webhook/options"
	"github.com/cert-manager/cert-manager/pkg/webhook/server"
)

const name = "cert-manager-webhook"

func parse(args []string) (*config.WebhookConfiguration, error) {
	c, err := options.NewWebhookConfiguration()
	if err != nil {
		return nil, err
	}
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	options.AddConfigFlags(flags, c)
	if flags.Lookup("metrics-listen-address") == nil {
		// Up to 1.15 the webhook serves no metrics. One command line runs every release.
		flags.String("metrics-listen-address", "0", "not used by this release, which serves no metrics")
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected arguments: %s", strings.Join(flags.Args(), " "))
	}
	return c, utilfeature.DefaultMutableFeatureGate.SetFromMap(c.FeatureGates)
}

func run(ctx context.Context, c *config.WebhookConfiguration) error {
	if err := logs.ValidateAndApply(&c.Logging); err != nil {
		return err
	}
	served, err := webhook.NewCertManagerWebhookServer(logs.Log, *c, func(s *server.Server) {
		if c.HealthzPort == 0 {
			s.HealthzAddr = nil // no health server, where cert-manager's own command takes any free port
		}
	})
	if err != nil {
		return err
	}
	return served.Run(logs.NewContext(ctx, logs.Log))
}

func main() {
	logs.InitLogs()
	defer logs.FlushLogs()
	c, err := parse(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = run(ctx, c)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		logs.FlushLogs()
		os.Exit(1)
	}
}
