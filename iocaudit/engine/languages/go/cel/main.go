// iocaudit-cel evaluates rules in the dialect of ValidatingAdmissionPolicy with the API server's own code, for the
// process that started it.
package main

import (
	"flag"
	"fmt"
	"os"
)

const program = "iocaudit-cel"

const usage = `iocaudit-cel evaluates rules in CEL as the API server does.

  iocaudit-cel version               print name, version of k8s.io/apiserver and digest of the sources
  iocaudit-cel serve --socket PATH   serve the process that holds standard input, until standard input ends
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case "version", "--version":
		err = printVersion(os.Stdout)
	case "help", "--help", "-h":
		fmt.Print(usage)
	case "serve":
		flags := flag.NewFlagSet("iocaudit-cel serve", flag.ExitOnError)
		socket := flags.String("socket", "", "path of the Unix socket, in a folder that nobody else may enter")
		_ = flags.Parse(os.Args[2:])
		if *socket == "" || flags.NArg() > 0 {
			fmt.Fprint(os.Stderr, usage)
			os.Exit(2)
		}
		err = serve(*socket)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "iocaudit-cel %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
