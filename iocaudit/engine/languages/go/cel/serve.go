package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"iocaudit.io/child"
)

const (
	// atOncePerCPU bounds what is evaluated at once, and by that the memory it takes. What comes on top waits in the
	// socket, and its sender with it.
	atOncePerCPU = 16
	writeWithin  = 10 * time.Second
	// longest bounds what is asked without a deadline.
	longest = 10 * time.Minute
)

func serve(socket string) error {
	child.IgnoreSignals()
	questions := child.NewQuestions()
	if err := child.LimitMemory(program, questions); err != nil {
		return err
	}
	folder, err := os.Stat(filepath.Dir(socket))
	if err != nil {
		return err
	}
	if folder.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s: others may enter the folder, its mode is %s and has to be 0700", filepath.Dir(socket), folder.Mode())
	}
	syscall.Umask(0o177)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	// Before anybody asks: the first rule to be compiled would wait for it.
	rules := newRules()
	served := &server{rules, make(chan struct{}, atOncePerCPU*runtime.GOMAXPROCS(0)), questions}
	failed := make(chan error, 1)
	go func() { failed <- served.accept(listener) }()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"apiserver": apiserverVersion()}); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-child.Over(os.Stdin):
		return nil
	}
}

type server struct {
	rules     *rules
	slots     chan struct{}
	questions *child.Questions
}

func (s *server) accept(listener net.Listener) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go s.converse(connection)
	}
}

// converse answers what comes through one connection, several messages at once. What is asked through a connection that
// ends is given up.
func (s *server) converse(connection net.Conn) {
	defer connection.Close()
	everything, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	out := &replies{connection: deadlined{connection}}
	running := &running{cancels: map[uint64]context.CancelFunc{}}
	in := bufio.NewReaderSize(connection, 64<<10)
	for {
		frame, err := readFrame(in)
		if err != nil {
			return
		}
		asked, err := readMessage(frame)
		if err != nil {
			out.send(reply{ID: asked.ID, Failure: "the message cannot be read: " + err.Error()})
			continue
		}
		if asked.Cancel != 0 {
			running.end(asked.Cancel)
			continue
		}
		if asked.Ping {
			// At once: whether we are well is not a matter of how much is asked.
			out.send(reply{ID: asked.ID})
			continue
		}
		within := longest
		if asked.Milliseconds > 0 {
			within = min(within, time.Duration(asked.Milliseconds)*time.Millisecond)
			// What is known by then is to be there in time.
			within -= min(within/10, 100*time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(everything, within)
		running.begin(asked.ID, cancel)
		s.slots <- struct{}{}
		go func() {
			defer func() { <-s.slots }()
			s.questions.Begin()
			defer s.questions.End()
			defer running.end(asked.ID)
			out.send(s.answer(ctx, asked))
		}()
	}
}

func (s *server) answer(ctx context.Context, asked message) (given reply) {
	defer func() {
		if cause := recover(); cause != nil {
			given = reply{ID: asked.ID, Failure: fmt.Sprint("it failed: ", cause)}
		}
	}()
	given = reply{ID: asked.ID}
	switch {
	case asked.Ask != nil:
		given.Answers = s.rules.ask(ctx, *asked.Ask)
	case asked.Check != nil:
		given.Broken = s.rules.check(asked.Check)
	case asked.Load != nil:
		given.Broken = s.rules.load(asked.Load)
	default:
		given.Failure = "the message asks for nothing"
	}
	return given
}

// running are the messages of a connection that are being answered.
type running struct {
	mutex   sync.Mutex
	cancels map[uint64]context.CancelFunc
}

func (r *running) begin(id uint64, cancel context.CancelFunc) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.cancels[id] = cancel
}

func (r *running) end(id uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if cancel, ok := r.cancels[id]; ok {
		cancel()
		delete(r.cancels, id)
	}
}

// deadlined gives up a connection whose other side does not read.
type deadlined struct{ net.Conn }

func (d deadlined) Write(data []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return 0, err
	}
	return d.Conn.Write(data)
}
