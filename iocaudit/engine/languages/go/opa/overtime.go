package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// overtimeSteps of lookOvertimeEvery are how long a query may go on after it was given up. They are counted, and not
	// taken from the clock: a process that stood still comes to an end of its queries first.
	overtimeSteps     = 50
	lookOvertimeEvery = 100 * time.Millisecond
	// inOvertime is the exit code of a process that ended itself since a query did not end.
	inOvertime = 4
)

// withinTime ends this process where a query goes on although nobody waits for it any more. OPA ends an evaluation
// between two of its steps, and some built-in functions are one step that takes hours, such as an operation on numbers
// of a hundred million digits or graph.reachable_paths: nothing else ends those.
func withinTime(opa http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodPost {
			opa.ServeHTTP(response, request) // no query: what compiles may take its time
			return
		}
		var over atomic.Bool
		forget := context.AfterFunc(request.Context(), func() { endInOvertime(&over) })
		defer forget()
		defer over.Store(true)
		opa.ServeHTTP(response, request)
	})
}

func endInOvertime(over *atomic.Bool) {
	for range overtimeSteps {
		if over.Load() {
			return
		}
		time.Sleep(lookOvertimeEvery)
	}
	if !over.Load() {
		fmt.Fprintf(os.Stderr, "iocaudit-opa: a query went on for %s after it was given up\n", overtimeSteps*lookOvertimeEvery)
		os.Exit(inOvertime)
	}
}
