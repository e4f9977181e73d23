package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/spf13/cobra"
	"iocaudit.io/child"
)

const (
	leastNonce = 32
	gcPercent  = 300
)

// inFlight are the requests that are being answered.
var inFlight = child.NewQuestions()

func init() {
	subcommands = append(subcommands, serveCommand)
}

func serveCommand() *cobra.Command {
	var loadTokenFile, askTokenFile string
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve the process that holds standard input, on a free port of 127.0.0.1, until standard input ends",
		Long: `Reads a nonce from the first line of standard input, and prints one line of JSON: the address, and the
HMAC-SHA256 of the address under the nonce. One token loads (PUT, PATCH, DELETE, GET of policies and data), the other
asks (POST of queries). GET ` + alivePath + `?` + challengeParam + `=TEXT needs none: it answers the HMAC of "alive TEXT".
Ends when standard input ends, or its parent does, or it uses a quarter more memory than GOMEMLIMIT.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error {
			err := serve(loadTokenFile, askTokenFile)
			if err != nil {
				fmt.Fprintln(os.Stderr, program, "serve:", err)
			}
			return err
		},
	}
	command.Flags().StringVar(&loadTokenFile, "load-token-file", "", "file of mode 0600 with the token that loads")
	command.Flags().StringVar(&askTokenFile, "ask-token-file", "", "file of mode 0600 with the token that asks")
	for _, name := range []string{"load-token-file", "ask-token-file"} {
		_ = command.MarkFlagRequired(name)
	}
	return command
}

func serve(loadTokenFile, askTokenFile string) error {
	child.IgnoreSignals()
	if err := child.LimitMemory(program, inFlight); err != nil {
		return err
	}
	// What is loaded is small beside what a question allocates: collected at 100, garbage takes a sixth of the time
	// that a question does. GOMEMLIMIT holds all the same.
	debug.SetGCPercent(gcPercent)
	loadToken, err := readToken(loadTokenFile)
	if err != nil {
		return err
	}
	askToken, err := readToken(askTokenFile)
	if err != nil {
		return err
	}
	if loadToken == askToken {
		return errors.New("the two tokens have to differ")
	}
	input := bufio.NewReader(os.Stdin)
	line, err := input.ReadString('\n')
	if nonce := strings.TrimSpace(line); err != nil || len(nonce) < leastNonce {
		return fmt.Errorf("standard input has to begin with a line of at least %d characters, the nonce", leastNonce)
	}
	opa, err := opaHandler()
	if err != nil {
		return err
	}
	// Bound here and not by OPA: the port is known before anybody is told.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	guarded := newGuard(loadToken, askToken, []byte(strings.TrimSpace(line)), opa)
	failed := make(chan error, 1)
	go func() {
		failed <- (&http.Server{Handler: guarded, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)
	}()
	address := listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"address": address,
		"proof":   guarded.proof(address),
	}); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-child.Over(input):
		return nil
	}
}

// opaHandler is OPA's HTTP interface over an empty store, without plugins: no bundles, decision logs, status, discovery.
func opaHandler() (http.Handler, error) {
	ctx := context.Background()
	quiet := logging.NewNoOpLogger()
	store := inmem.NewWithOpts(inmem.OptRoundTripOnWrite(false))
	manager, err := plugins.New([]byte("{}"), "iocaudit", store, plugins.Logger(quiet), plugins.ConsoleLogger(quiet))
	if err != nil {
		return nil, err
	}
	if err := manager.Start(ctx); err != nil {
		return nil, err
	}
	opa, err := server.New().WithStore(store).WithManager(manager).Init(ctx)
	if err != nil {
		return nil, err
	}
	return withBulk(withinTime(withAnswers(ctx, opa.Handler, store, manager)), store), nil
}

// readToken reads a token that nobody else may read.
func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return "", err
	}
	if others := about.Mode().Perm() & 0o077; others != 0 || !about.Mode().IsRegular() {
		return "", fmt.Errorf("%s: has to be a file of mode 0600, and has %s", path, about.Mode())
	}
	content, err := io.ReadAll(io.LimitReader(file, 4096))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	if len(token) < leastNonce {
		return "", fmt.Errorf("%s: the token has %d characters, at least %d are needed", path, len(token), leastNonce)
	}
	return token, nil
}
