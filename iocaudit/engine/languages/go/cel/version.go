package main

import (
	"embed"
	"io"
	"runtime/debug"
	"strings"

	"iocaudit.io/child"
)

// sources are the files that the program was compiled from, beside those of the package child.
//
//go:embed *.go go.mod go.sum
var sources embed.FS

// printVersion prints the line by which a program that fits is recognised.
func printVersion(to io.Writer) error {
	line, err := child.Version(program, apiserverVersion(), "cel", sources)
	if err != nil {
		return err
	}
	_, err = io.WriteString(to, line)
	return err
}

func apiserverVersion() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "k8s.io/apiserver" {
				return strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return "unknown"
}
