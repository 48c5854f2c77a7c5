// Command vault-entrypoint starts Vault in its image as the official image
// does, so that what runs that image runs this one too:
//
//	server -dev            initialized and unsealed, with a known root token
//	server [-config=PATH]  as configured, by default from /vault/config
//
// The Vault of this image is its core with the plugins an issuer uses; it has
// no -dev of its own. So this program initializes and unseals it over the API.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	vault           = "/bin/vault"
	configDirectory = "/vault/config"
	startTimeout    = 60 * time.Second
	// In dev mode, where Vault really listens: for this program, and for all others.
	setupAddress = "127.0.0.1:8210"
	innerAddress = "127.0.0.1:8211"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vault-entrypoint:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	// Also as the official image is used: `vault server ...`.
	if len(arguments) > 0 && arguments[0] == "vault" {
		arguments = arguments[1:]
	}
	if len(arguments) == 0 || arguments[0] != "server" {
		return errors.New("usage: server -dev | server [-config=PATH]")
	}
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	dev := flags.Bool("dev", false, "initialize and unseal a Vault in memory")
	token := flags.String("dev-root-token-id", os.Getenv("VAULT_DEV_ROOT_TOKEN_ID"), "the root token, default a random one")
	address := flags.String("dev-listen-address", or(os.Getenv("VAULT_DEV_LISTEN_ADDRESS"), "0.0.0.0:8200"), "host:port")
	config := flags.String("config", configDirectory, "file or directory")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *dev {
		return serveDev(*address, *token)
	}
	if local := os.Getenv("VAULT_LOCAL_CONFIG"); local != "" {
		if err := os.WriteFile(filepath.Join(configDirectory, "local.json"), []byte(local), 0o600); err != nil {
			return err
		}
	}
	return syscall.Exec(vault, []string{"vault", "server", "-config=" + *config}, os.Environ())
}

// serveDev keeps the address closed until the root token exists, so that a
// client that gets a response may use it. Vault cannot open a listener later,
// so it listens on loopback and each connection is passed on, with its origin.
func serveDev(address, token string) error {
	file := filepath.Join(os.TempDir(), "dev.json")
	config, err := json.Marshal(map[string]any{
		"storage": map[string]any{"inmem": map[string]any{}},
		"listener": []any{
			map[string]any{"tcp": map[string]any{"address": setupAddress, "tls_disable": true}},
			map[string]any{"tcp": map[string]any{
				"address": innerAddress, "tls_disable": true, "proxy_protocol_behavior": "use_always",
			}},
		},
		"api_addr":      "http://" + address,
		"disable_mlock": true,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	server := exec.Command(vault, "server", "-config="+file)
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := server.Start(); err != nil {
		return err
	}
	ended, failed := make(chan error, 1), make(chan error, 1)
	go func() { ended <- server.Wait() }()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		if err := prepare(ctx, api{"http://" + setupAddress + "/v1/"}, token); err != nil {
			failed <- err
			return
		}
		failed <- passOn(address, innerAddress)
	}()
	for {
		select {
		case err := <-ended:
			return err
		case received := <-signals:
			if err := server.Process.Signal(received); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return err
			}
		case err := <-failed:
			return errors.Join(err, server.Process.Kill(), <-ended)
		}
	}
}

// passOn accepts connections for another address until accepting fails.
func passOn(address, inner string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", inner)
			if err != nil {
				fmt.Fprintln(os.Stderr, "vault-entrypoint:", err)
				return
			}
			defer server.Close()
			if _, err := server.Write(origin(client)); err != nil {
				return
			}
			var both sync.WaitGroup
			both.Go(func() { copyAndClose(server.(*net.TCPConn), client) })
			both.Go(func() { copyAndClose(client.(*net.TCPConn), server) })
			both.Wait()
		}()
	}
}

// origin is the PROXY protocol's line about a connection.
func origin(client net.Conn) []byte {
	from, to := client.RemoteAddr().(*net.TCPAddr), client.LocalAddr().(*net.TCPAddr)
	family := "TCP6"
	if from.IP.To4() != nil {
		family = "TCP4"
	}
	return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n", family, from.IP, to.IP, from.Port, to.Port)
}

// copyAndClose passes on what comes, and the end of it.
func copyAndClose(to *net.TCPConn, from net.Conn) {
	// A connection that breaks is the business of its two ends, which see it.
	_, _ = io.Copy(to, from)
	_ = to.CloseWrite()
}

// prepare initializes and unseals Vault and gives it the root token asked for.
func prepare(ctx context.Context, vault api, token string) error {
	if err := vault.wait(ctx, "sys/seal-status"); err != nil {
		return err
	}
	var made struct {
		Keys      []string `json:"keys_base64"`
		RootToken string   `json:"root_token"`
	}
	initialize := map[string]any{"secret_shares": 1, "secret_threshold": 1}
	if err := vault.call(ctx, "PUT", "sys/init", "", initialize, &made); err != nil {
		return err
	}
	if err := vault.call(ctx, "PUT", "sys/unseal", "", map[string]any{"key": made.Keys[0]}, nil); err != nil {
		return err
	}
	// Unsealing goes on after the answer, until this Vault is the active one.
	if err := vault.wait(ctx, "sys/health"); err != nil {
		return err
	}
	if token == "" {
		fmt.Println("Root Token:", made.RootToken)
		return nil
	}
	root := map[string]any{"id": token, "policies": []string{"root"}, "no_parent": true, "display_name": "root"}
	if err := vault.call(ctx, "POST", "auth/token/create", made.RootToken, root, nil); err != nil {
		return err
	}
	return vault.call(ctx, "POST", "auth/token/revoke-self", made.RootToken, nil, nil)
}

// api is Vault's, by its address.
type api struct{ base string }

// wait returns once a path answers with 200.
func (vault api) wait(ctx context.Context, path string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := vault.call(ctx, "GET", path, "", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", startTimeout, err)
		case <-tick.C:
		}
	}
}

func (vault api) call(ctx context.Context, method, path, token string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, vault.base+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("X-Vault-Token", token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		var told struct{ Errors []string }
		_ = json.NewDecoder(response.Body).Decode(&told) // the status says enough where there is no such body
		return fmt.Errorf("%s %s: %s %v", method, path, response.Status, told.Errors)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

func or(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}
