package main

import (
	"embed"
	"io"

	opa "github.com/open-policy-agent/opa/v1/version"
	"github.com/spf13/cobra"
	"iocaudit.io/child"
)

// sources are the files that the program was compiled from, beside those of the package child.
//
//go:embed *.go go.mod go.sum
var sources embed.FS

func init() {
	subcommands = append(subcommands, versionCommand)
}

// versionCommand prints the line by which a program that fits is recognised.
func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print name, version of OPA and digest of the sources",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			line, err := child.Version(program, opa.Version, "opa", sources)
			if err != nil {
				return err
			}
			_, err = io.WriteString(command.OutOrStdout(), line)
			return err
		},
	}
}
