// Package child is what the programs that evaluate rules have in common: each serves the process that started it, and
// nobody else, within a bound on its memory.
package child

import (
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"
)

const (
	// overhead is what the runtime maps beside the heap.
	overhead = 128 << 20
	// lookEvery is short enough for what a rule can allocate meanwhile to fit below the hard limit.
	lookEvery = 20 * time.Millisecond
	// lookIdlyEvery is for while nothing is asked: looks take CPU.
	lookIdlyEvery = time.Second
	// outOfMemory is the exit code of a process that ended itself since it needed too much.
	outOfMemory = 3
)

// LimitMemory bounds what this process uses, where GOMEMLIMIT is set. GOMEMLIMIT alone only makes the collector work
// harder: a rule that builds a huge set grows beyond it, and in a container the kernel then ends the container as a
// whole. So this process ends itself once it uses a quarter more. What grows faster than we look, as one long string
// does, is stopped by RLIMIT_DATA at half as much again: the kernel keeps that at each allocation, but the runtime does
// not always say that this was what it died of. RLIMIT_AS would count address space that Go reserves and never touches.
func LimitMemory(program string, questions *Questions) error {
	// Where the kernel has to end a process after all, it is to be this one. Only Linux has the file.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	soft := debug.SetMemoryLimit(-1)
	if soft == math.MaxInt64 {
		return nil
	}
	go endAbove(uint64(soft+soft/4), program, questions)
	hard := uint64(soft + soft/2 + overhead)
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: hard, Max: hard})
}

// endAbove ends the process once it uses more than most bytes, as GOMEMLIMIT counts them.
func endAbove(most uint64, program string, questions *Questions) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for {
		questions.wait()
		metrics.Read(samples)
		if used := samples[0].Value.Uint64() - samples[1].Value.Uint64(); used > most {
			fmt.Fprintf(os.Stderr, "%s: out of memory: %d bytes are in use, and at most %d may be\n", program, used, most)
			os.Exit(outOfMemory)
		}
	}
}
