package child

import (
	"sync/atomic"
	"time"
)

// Questions counts those that are being answered: while there are any, memory is looked at more often.
type Questions struct {
	count atomic.Int64
	begun chan struct{}
}

// NewQuestions are none.
func NewQuestions() *Questions {
	return &Questions{begun: make(chan struct{}, 1)}
}

// Begin notes one more.
func (q *Questions) Begin() {
	if q.count.Add(1) == 1 {
		select {
		case q.begun <- struct{}{}:
		default:
		}
	}
}

// End notes one less.
func (q *Questions) End() {
	q.count.Add(-1)
}

// wait until it is time for another look.
func (q *Questions) wait() {
	if q.count.Load() > 0 {
		time.Sleep(lookEvery)
		return
	}
	select {
	case <-q.begun:
	case <-time.After(lookIdlyEvery):
	}
}
