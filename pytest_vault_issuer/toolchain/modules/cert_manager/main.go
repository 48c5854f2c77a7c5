// Command controller runs the parts of cert-manager that have to do with its
// Vault issuer: readiness of Issuers and ClusterIssuers, CertificateRequests,
// Certificates, and, behind their feature gate, CertificateSigningRequests.
//
// cert-manager publishes its library as a Go module but not its own main
// package, so this is a main of ours over the unmodified controllers. What
// differs between its releases is in ofRelease, in a file of each.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	crvault "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/vault"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	csrvault "github.com/cert-manager/cert-manager/pkg/controller/certificatesigningrequests/vault"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/vault"
	"github.com/cert-manager/cert-manager/pkg/logs"
	utilfeature "github.com/cert-manager/cert-manager/pkg/util/feature"
)

const csrGate = "ExperimentalCertificateSigningRequestControllers"

// The controllers in the order in which a request passes through them.
var (
	issuerControllers = []string{issuers.ControllerName, clusterissuers.ControllerName, crvault.CRControllerName}
	certificates      = []string{
		trigger.ControllerName, keymanager.ControllerName, requestmanager.ControllerName,
		issuing.ControllerName, readiness.ControllerName, revisionmanager.ControllerName,
	}
)

type options struct {
	controller.ContextOptions
	approve      bool
	concurrency  int
	featureGates string
	logging      *logsapi.LoggingConfiguration
}

func parse(args []string) (options, error) {
	o := options{logging: logsapi.NewLoggingConfiguration()}
	flags := pflag.NewFlagSet("cert-manager-controller", pflag.ContinueOnError)
	flags.StringVar(&o.Kubeconfig, "kubeconfig", "", "path of the kubeconfig file")
	flags.StringVar(&o.ClusterResourceNamespace, "cluster-resource-namespace", "kube-system", "namespace of the Secrets and ServiceAccounts that ClusterIssuers refer to")
	flags.BoolVar(&o.IssuerAmbientCredentials, "issuer-ambient-credentials", false, "let Issuers use credentials found in the environment")
	flags.BoolVar(&o.ClusterIssuerAmbientCredentials, "cluster-issuer-ambient-credentials", true, "let ClusterIssuers use credentials found in the environment")
	flags.BoolVar(&o.approve, "approver", true, "run the controller that approves CertificateRequests for cert-manager.io issuers")
	flags.IntVar(&o.concurrency, "concurrent-workers", 5, "workers of each controller")
	flags.Float32Var(&o.KubernetesAPIQPS, "kube-api-qps", 20, "queries a second to an API server without priority and fairness")
	flags.IntVar(&o.KubernetesAPIBurst, "kube-api-burst", 50, "burst of queries to an API server without priority and fairness")
	// Without it, as the zero value of the library's options, a Certificate's annotations stay its own.
	flags.StringSliceVar(&o.CopiedAnnotationPrefixes, "copied-annotation-prefixes", []string{"*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/"}, "which annotations of a Certificate its requests get")
	flags.StringVar(&o.featureGates, "feature-gates", "", "comma-separated NAME=true|false")
	ofRelease(&o.ContextOptions, flags)
	logs.AddFlags(o.logging, flags)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected arguments: %s", strings.Join(flags.Args(), " "))
	}
	if o.concurrency < 1 {
		return o, fmt.Errorf("--concurrent-workers must be at least 1, not %d", o.concurrency)
	}
	return o, utilfeature.DefaultMutableFeatureGate.Set(o.featureGates)
}

func run(ctx context.Context, o options) error {
	factory, err := controller.NewContextFactory(ctx, o.ContextOptions)
	if err != nil {
		return fmt.Errorf("connecting to Kubernetes: %w", err)
	}
	names := slices.Concat(issuerControllers, certificates)
	if o.approve {
		names = append(names, approver.ControllerName)
	}
	for gate := range utilfeature.DefaultMutableFeatureGate.GetAll() {
		if string(gate) == csrGate && utilfeature.DefaultFeatureGate.Enabled(gate) {
			names = append(names, csrvault.CSRControllerName)
		}
	}

	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		build, known := controller.Known()[name]
		if !known {
			return fmt.Errorf("controller %q is not part of this cert-manager", name)
		}
		c, err := build(factory)
		if err != nil {
			return fmt.Errorf("building controller %q: %w", name, err)
		}
		group.Go(func() error {
			if err := c.Run(o.concurrency, ctx); err != nil {
				return fmt.Errorf("controller %q: %w", name, err)
			}
			return nil
		})
	}

	// Informers are started after every controller has asked for its own.
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.HTTP01ResourceMetadataInformersFactory.Start(ctx.Done())
	return group.Wait()
}

func main() {
	logs.InitLogs()
	defer logs.FlushLogs()
	o, err := parse(os.Args[1:])
	if errors.Is(err, pflag.ErrHelp) {
		return
	}
	if err == nil {
		err = logs.ValidateAndApply(o.logging)
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cert-manager-controller:", err)
		logs.FlushLogs()
		os.Exit(1)
	}
}
