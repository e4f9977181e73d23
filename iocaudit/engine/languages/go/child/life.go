package child

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// IgnoreSignals leaves out what is sent to the whole group: it is for the process that we serve, and what that still
// asks meanwhile is answered.
func IgnoreSignals() {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}

// Over tells when nobody is left to serve. A process that our parent forked may hold standard input open for longer
// than the parent lives, so that one is watched as well.
func Over(input io.Reader) <-chan struct{} {
	over := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(io.Discard, input)
		over <- struct{}{}
	}()
	go func() {
		for parent := os.Getppid(); os.Getppid() == parent; {
			time.Sleep(time.Second)
		}
		over <- struct{}{}
	}()
	return over
}
