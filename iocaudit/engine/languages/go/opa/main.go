// iocaudit-opa is OPA for rules that others write: without the built-in functions that reach out of an evaluation,
// and with a server (serve) that only the process that started it can use. All other subcommands are OPA's own.
package main

import (
	"errors"
	"os"

	"github.com/open-policy-agent/opa/cmd"
	"github.com/spf13/cobra"
)

const program = "iocaudit-opa"

// subcommands are ours. A file adds its own in an init function; one that OPA has under the same name is replaced.
var subcommands []func() *cobra.Command

func main() {
	stayWithin()
	// The list of OPA's commands and their help name the program as users do.
	root := cmd.Command(nil, "OPA")
	root.Use = program
	for _, make := range subcommands {
		ours := make()
		for _, theirs := range root.Commands() {
			if theirs.Name() == ours.Name() {
				root.RemoveCommand(theirs)
			}
		}
		root.AddCommand(ours)
	}
	for _, one := range root.Commands() {
		keepWithin(one)
	}
	err := root.Execute()
	if exit, ok := errors.AsType[*cmd.ExitError](err); ok {
		os.Exit(exit.Exit)
	}
	if err != nil {
		os.Exit(1)
	}
}
