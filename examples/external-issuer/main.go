// vault-issuer is an external issuer for cert-manager: Vault signs its certificates. It has its own API group.
package main

import (
	"flag"
	"os"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"example.com/vault-issuer/api/v1alpha1"
	"example.com/vault-issuer/internal/issuer"
)

func main() {
	namespace := flag.String("cluster-resource-namespace", "vault-issuer-system",
		"Where the Secrets and service accounts of VaultClusterIssuers are.")
	metrics := flag.String("metrics-bind-address", "0", "Where metrics are served; 0 for nowhere.")
	probes := flag.String("health-probe-bind-address", "0", "Where health and readiness are served; 0 for nowhere.")
	leader := flag.Bool("leader-elect", false, "Whether several replicas agree on one that works.")
	leaseNamespace := flag.String("leader-election-namespace", "", "Where the lease is; default: the pod's namespace.")
	workers := flag.Int("workers", 10, "How many objects of a kind are worked on at once.")
	qps := flag.Float64("kube-api-qps", 100, "How many calls per second the API server gets; bursts are twice as large.")
	flag.Parse() // controller-runtime defines -kubeconfig
	ctrl.SetLogger(zap.New())

	if err := run(*namespace, *metrics, *probes, *leader, *leaseNamespace, *workers, float32(*qps)); err != nil {
		ctrl.Log.Error(err, "the issuer ends")
		os.Exit(1)
	}
}

func run(
	namespace, metrics, probes string, leader bool, leaseNamespace string, workers int, qps float32,
) error {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(certmanager.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))

	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	// Each signature needs a few calls, and the API server limits them itself.
	config.QPS, config.Burst = qps, int(2*qps)
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		Metrics:                server.Options{BindAddress: metrics},
		HealthProbeBindAddress: probes,
		LeaderElection:         leader,
		LeaderElectionID:       "vaultissuer.example.com",
		// The default, '', is the namespace of the pod. A process outside of the cluster has none.
		LeaderElectionNamespace: leaseNamespace,
	})
	if err != nil {
		return err
	}
	if err := manager.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return err
	}
	ctx := ctrl.SetupSignalHandler()
	if err := issuer.SetupWithManager(ctx, manager, namespace, workers); err != nil {
		return err
	}
	return manager.Start(ctx)
}
