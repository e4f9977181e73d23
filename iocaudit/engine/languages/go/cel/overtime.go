package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	// turn is the part of the time that is left which one rule may hold up those after it.
	turn = 8
	// grace is how long an evaluation may go on after it was given up without counting.
	grace = time.Second
	// restTimes as long as an evaluation went on after that, its rule is not asked.
	restTimes = 4
)

// overtime bounds what a rule takes that does not end when it is given up: an interrupted loop is an error, which the
// loop around it passes over (`[1, 2].all(a, [1, 2].all(b, …))`), so that only the limit of cost ends it, after up to a
// minute. So many evaluations of one rule run at once, and one that went on is not asked for a while.
type overtime struct {
	places     chan struct{}
	mutex      sync.Mutex
	late       int
	lateSince  time.Time
	restsUntil time.Time
}

func newOvertime() *overtime {
	return &overtime{places: make(chan struct{}, runtime.GOMAXPROCS(0))}
}

// start evaluates in the background. The channel gets one answer, which nobody has to wait for.
func (o *overtime) start(ctx context.Context, judge func() answer) <-chan answer {
	given := make(chan answer, 1)
	if why := o.rests(); why != "" {
		given <- answer{Failure: why}
		return given
	}
	go func() {
		select {
		case o.places <- struct{}{}:
			defer func() { <-o.places }()
		case <-ctx.Done():
			given <- answer{Failure: late(ctx)}
			return
		}
		begun := make(chan time.Time, 1)
		forget := context.AfterFunc(ctx, func() { begun <- o.begin() })
		given <- judge()
		if !forget() {
			o.end(<-begun)
		}
	}()
	return given
}

func (o *overtime) begin() time.Time {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	now := time.Now()
	if o.late == 0 {
		o.lateSince = now
	}
	o.late++
	return now
}

func (o *overtime) end(since time.Time) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.late--
	if took := time.Since(since); took > grace {
		if until := time.Now().Add(restTimes * took); until.After(o.restsUntil) {
			o.restsUntil = until
		}
	}
}

// rests says why a rule is not asked now, where it is not.
func (o *overtime) rests() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.late > 0 && time.Since(o.lateSince) > grace {
		return "it is still being evaluated for a question that was given up, and is not asked meanwhile"
	}
	if left := time.Until(o.restsUntil); left > 0 {
		return fmt.Sprintf("it went on after it was given up, and is not asked for %.0f s", left.Seconds())
	}
	return ""
}

// inTurn waits for an answer, at most for a turn; false where there is none by then.
func inTurn(ctx context.Context, given <-chan answer) (answer, bool) {
	wait := time.Duration(1<<63 - 1)
	if deadline, ok := ctx.Deadline(); ok {
		wait = time.Until(deadline) / turn
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case one := <-given:
		return one, true
	case <-timer.C:
		return answer{}, false
	}
}

// atLast waits for an answer until the question is given up.
func atLast(ctx context.Context, given <-chan answer) answer {
	select {
	case one := <-given:
		return one
	case <-ctx.Done():
		return answer{Failure: late(ctx)}
	}
}
