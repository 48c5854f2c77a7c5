// Command vault serves HashiCorp Vault's own core with the secrets engine and
// the auth methods that a certificate issuer uses.
//
// It understands the part of the real command that a test stack needs,
// `vault server -config=FILE`, in Vault's own configuration language, so that
// the official vault or bao binary can take its place. Leaving the other
// plugins and storage backends out makes it build in less than half the time
// and a fraction of the size of the full command.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	jwtauth "github.com/hashicorp/vault-plugin-auth-jwt"
	kubernetesauth "github.com/hashicorp/vault-plugin-auth-kubernetes"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/builtin/credential/approle"
	awsauth "github.com/hashicorp/vault/builtin/credential/aws"
	"github.com/hashicorp/vault/builtin/credential/cert"
	"github.com/hashicorp/vault/builtin/logical/pki"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/version"
)

var (
	storages = map[string]physical.Factory{
		"inmem": inmem.NewInmem,
		"raft":  raft.NewRaftBackend,
	}
	secretsEngines = map[string]logical.Factory{
		"pki": pki.Factory,
	}
	authMethods = map[string]logical.Factory{
		"approle":    approle.Factory,
		"aws":        awsauth.Factory,
		"cert":       cert.Factory,
		"jwt":        jwtauth.Factory,
		"kubernetes": kubernetesauth.Factory,
	}
	auditDevices = map[string]audit.Factory{
		"file": audit.NewFileBackend,
	}
)

// catalogue tells the core which plugins are built in.
type catalogue struct{}

func (catalogue) of(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeCredential:
		return authMethods
	case consts.PluginTypeSecrets:
		return secretsEngines
	default:
		return nil
	}
}

func (c catalogue) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factory, ok := c.of(kind)[name]
	return func() (any, error) { return factory, nil }, ok
}

func (c catalogue) Contains(name string, kind consts.PluginType) bool {
	_, ok := c.of(kind)[name]
	return ok
}

func (c catalogue) Keys(kind consts.PluginType) []string {
	var names []string
	for name := range c.of(kind) {
		names = append(names, name)
	}
	return names
}

func (c catalogue) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, c.Contains(name, kind)
}

func (catalogue) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func serve(ctx context.Context, path string) error {
	config, err := server.LoadConfig(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	if config.Storage == nil || storages[config.Storage.Type] == nil {
		return fmt.Errorf("%s: storage must be inmem or raft", path)
	}
	if len(config.Listeners) == 0 {
		return fmt.Errorf("%s: no listener", path)
	}
	logger := hclog.New(&hclog.LoggerOptions{
		Name: "vault", Level: hclog.LevelFromString(config.LogLevel), Output: os.Stderr,
	})
	storage, err := storages[config.Storage.Type](config.Storage.Config, logger.Named("storage"))
	if err != nil {
		return fmt.Errorf("opening storage: %w", err)
	}
	core := &vault.CoreConfig{
		RawConfig:          config,
		Physical:           storage,
		StorageType:        config.Storage.Type,
		RedirectAddr:       config.APIAddr,
		ClusterAddr:        config.ClusterAddr,
		AuditBackends:      auditDevices,
		CredentialBackends: authMethods,
		LogicalBackends:    secretsEngines,
		BuiltinRegistry:    catalogue{},
		Logger:             logger,
		LogLevel:           config.LogLevel,
		DisableMlock:       true,
		DefaultLeaseTTL:    config.DefaultLeaseTTL,
		MaxLeaseTTL:        config.MaxLeaseTTL,
	}
	if ha, ok := storage.(physical.HABackend); ok && ha.HAEnabled() {
		core.HAPhysical = ha
	}
	c, err := vault.NewCore(core)
	if err != nil {
		return fmt.Errorf("creating the core: %w", err)
	}

	failed := make(chan error, len(config.Listeners))
	for _, listener := range config.Listeners {
		ln, _, _, err := server.NewListener(listener, os.Stderr, nil)
		if err != nil {
			return fmt.Errorf("listening on %s: %w", listener.Address, err)
		}
		if listener.ClusterAddress != "" {
			address, err := net.ResolveTCPAddr("tcp", listener.ClusterAddress)
			if err != nil {
				return fmt.Errorf("cluster_address %s: %w", listener.ClusterAddress, err)
			}
			c.SetClusterListenerAddrs([]*net.TCPAddr{address})
			c.SetClusterHandler(handler(c, &configutil.Listener{}))
		}
		srv := &http.Server{
			Handler:           handler(c, listener),
			ReadHeaderTimeout: 10 * time.Second,
			ErrorLog:          logger.StandardLogger(nil),
		}
		go func() { failed <- srv.Serve(ln) }()
	}
	logger.Info("serving", "version", version.GetVersion().VersionNumber())

	select {
	case <-ctx.Done():
		return c.ShutdownWait()
	case err := <-failed:
		return errors.Join(err, c.ShutdownWait())
	}
}

func handler(core *vault.Core, listener *configutil.Listener) http.Handler {
	return vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: listener})
}

func main() {
	err := errors.New("usage: vault server -config=FILE | vault version")
	switch {
	case len(os.Args) == 2 && os.Args[1] == "version":
		fmt.Println(version.GetVersion().FullVersionNumber(false))
		return
	case len(os.Args) > 2 && os.Args[1] == "server":
		flags := flag.NewFlagSet("vault server", flag.ExitOnError)
		config := flags.String("config", "", "path of the configuration file")
		_ = flags.Parse(os.Args[2:])
		if *config != "" {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			err = serve(ctx, *config)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}
