package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/util"
	"github.com/spf13/cobra"
)

// reachingKeys are the parts of a configuration by which OPA calls others. Bundles, decision logs, status and discovery
// name services; traces and metrics are sent by clients of their own.
var reachingKeys = []string{"services", "discovery", "distributed_tracing", "metrics_export"}

// keySet finds one in what --set and --set-file take: paths and values, joined by commas.
var keySet = regexp.MustCompile(`(?:^|,)\s*(` + strings.Join(reachingKeys, "|") + `)\s*(?:[.=\[]|$)`)

// closedTransport refuses every connection. The schemas that annotations name are fetched through it, and OPA's other
// clients copy it, so it has to be what they take it for. It knows no proxy, which would be dialled first.
func closedTransport() *http.Transport {
	refuse := func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, errors.New("refused: " + address + " is outside of what a rule may reach")
	}
	return &http.Transport{DialContext: refuse, DialTLSContext: refuse}
}

// keepWithin has one of OPA's commands ask nobody for newer versions, and refuse a configuration that reaches out.
func keepWithin(command *cobra.Command) {
	theirs := command.PreRunE
	command.PreRunE = func(command *cobra.Command, arguments []string) error {
		if theirs != nil {
			// It takes flags from the environment as well.
			if err := theirs(command, arguments); err != nil {
				return err
			}
		}
		if flag := command.Flags().Lookup("skip-version-check"); flag != nil {
			if err := flag.Value.Set("true"); err != nil {
				return err
			}
		}
		err := checkConfiguration(command)
		command.SilenceUsage = command.SilenceUsage || err != nil
		return err
	}
}

// checkConfiguration says what of the configuration of a command reaches out.
func checkConfiguration(command *cobra.Command) error {
	if flag := command.Flags().Lookup("watch-config"); flag != nil && flag.Value.String() == "true" {
		return errors.New("--watch-config: a configuration is looked at before the start alone, so it may not change later")
	}
	for _, name := range []string{"set", "set-file"} {
		given, err := command.Flags().GetStringArray(name)
		if err != nil {
			continue // this command has no such flag
		}
		for _, one := range given {
			if found := keySet.FindStringSubmatch(one); found != nil {
				return reachesOut("--"+name, found[1])
			}
		}
	}
	path, err := command.Flags().GetString("config-file")
	if err != nil || path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var configuration map[string]json.RawMessage
	if err := util.Unmarshal([]byte(os.ExpandEnv(string(text))), &configuration); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, key := range reachingKeys {
		if _, found := configuration[key]; found {
			return reachesOut(path, key)
		}
	}
	return nil
}

func reachesOut(where, key string) error {
	return fmt.Errorf("%s: %q calls others, and %s reaches nothing outside: use OPA's own program for that", where, key, program)
}
