package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"

	utiljson "sigs.k8s.io/json"
)

// A frame is a length of four bytes, the most significant first, and that many bytes of JSON.

// largestFrame leaves room for an object and its predecessor, at most 3 MiB each, and for what is asked with them.
const largestFrame = 64 << 20

// message is what the other side sends: one of Cancel, Ping, Check, Load and Ask.
type message struct {
	ID uint64 `json:"id"`
	// Milliseconds that the answer may take; none where it is zero.
	Milliseconds int64        `json:"milliseconds"`
	Cancel       uint64       `json:"cancel"`
	Ping         bool         `json:"ping"`
	Check        []sourceRule `json:"check"`
	Load         []sourceRule `json:"load"`
	Ask          *question    `json:"ask"`
}

// reply is what it gets back: the ID of its message, and what it asked for.
type reply struct {
	ID      uint64            `json:"id"`
	Failure string            `json:"failure,omitempty"`
	Broken  map[string]faults `json:"broken,omitempty"`
	Answers []answer          `json:"answers,omitempty"`
}

func readFrame(from io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > largestFrame {
		return nil, fmt.Errorf("a frame of %d bytes, at most %d are taken", size, largestFrame)
	}
	frame := make([]byte, size)
	_, err := io.ReadFull(from, frame)
	return frame, err
}

// readMessage reads numbers as the API server does: integers that fit in 64 bits stay integers.
func readMessage(frame []byte) (message, error) {
	var read message
	err := utiljson.UnmarshalCaseSensitivePreserveInts(frame, &read)
	return read, err
}

// replies writes frames of several goroutines to one connection.
type replies struct {
	mutex      sync.Mutex
	connection net.Conn
}

func (r *replies) send(one reply) {
	body, err := json.Marshal(one)
	if err != nil || len(body) > largestFrame {
		body, _ = json.Marshal(reply{ID: one.ID, Failure: "the answer cannot be sent"})
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, len(body)+4), uint32(len(body)))
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, err := r.connection.Write(append(frame, body...)); err != nil {
		// The reader of this connection sees that it is gone, and ends what was asked through it.
		_ = r.connection.Close()
	}
}
