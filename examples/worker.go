// SPDX-License-Identifier: Apache-2.0

// A plain worker of sluiced: net/http over connections that sluice-relay hands over. Their TLS is made
// elsewhere; what arrives here is an ordinary socket. docs/protocol.md describes the messages.
//
//	go run worker.go /run/sluice/plain.sock
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"sync"
	"syscall"
)

const atOnce = 256 // connections that we have room for

const (
	msgAttach     = 1
	msgCredit     = 2
	msgAck        = 3
	msgEnded      = 5
	msgWelcome    = 16
	msgConnection = 17
	msgRefused    = 18

	attrCount = 6
	attrPeer  = 59
)

var texts = map[uint16]string{2: "text", 41: "sni", 42: "alpn", 52: "listener", 53: "pool",
	58: "local", attrPeer: "peer"}
var numbers = map[uint16]string{32: "session", 35: "version", 36: "suite", 39: "resumed",
	43: "peer_verified", 46: "rx_path", 47: "tx_path"}

// Pool is a net.Listener: Accept returns connections that are established already.
type Pool struct {
	channel *net.UnixConn
}

type message struct {
	kind  uint8
	id    uint32
	facts map[string]string
	files []int
}

func attach(path string) (*Pool, error) {
	channel, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	p := &Pool{channel}
	p.send(msgAttach, 0, 0) // where this fails, a refusal may be there already
	m, err := p.receive()
	if err == nil && m.kind == msgRefused {
		err = errors.New(m.facts["text"])
	} else if err == nil && m.kind != msgWelcome {
		err = errors.New("this is no pool")
	}
	return p, err
}

// send sends a message: a head of eight bytes, then attributes of a type, a length, a value.
func (p *Pool) send(kind uint8, id uint32, count uint64) error {
	b := binary.LittleEndian.AppendUint32([]byte{1, kind, 0, 0}, id)
	if count > 0 {
		b = binary.LittleEndian.AppendUint16(b, attrCount)
		b = binary.LittleEndian.AppendUint16(b, 8)
		b = binary.LittleEndian.AppendUint64(b, count)
	}
	_, err := p.channel.Write(b)
	return err
}

func (p *Pool) receive() (*message, error) {
	b, control := make([]byte, 65536), make([]byte, syscall.CmsgSpace(4*4))
	n, nControl, _, _, err := p.channel.ReadMsgUnix(b, control)
	if err != nil {
		return nil, err
	}
	if n < 8 || b[0] != 1 {
		return nil, net.ErrClosed
	}
	m := &message{kind: b[1], id: binary.LittleEndian.Uint32(b[4:]), facts: factsOf(b[8:n])}
	parts, err := syscall.ParseSocketControlMessage(control[:nControl])
	for i := range parts {
		files, _ := syscall.ParseUnixRights(&parts[i])
		m.files = append(m.files, files...)
	}
	return m, err
}

// factsOf passes over attributes that it does not know: a later version has more.
func factsOf(b []byte) map[string]string {
	facts := map[string]string{}
	for len(b) >= 4 {
		kind, size := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if size > len(b)-4 {
			break
		}
		value := b[4 : 4+size]
		b = b[4+size:]
		if name, ok := texts[kind]; ok {
			facts[name] = string(value)
		} else if name, ok := numbers[kind]; ok && size == 8 {
			facts[name] = fmt.Sprint(binary.LittleEndian.Uint64(value))
		}
	}
	return facts
}

// conn is a connection with what is known of it; its end makes room for another.
type conn struct {
	net.Conn
	pool  *Pool
	facts map[string]string
	once  sync.Once
}

func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.pool.send(msgCredit, 0, 1) })
	return err
}

func (c *conn) RemoteAddr() net.Addr {
	addr, err := net.ResolveTCPAddr("tcp", c.facts["peer"])
	if err != nil {
		return c.Conn.RemoteAddr()
	}
	return addr
}

// Accept acknowledges what comes; from then on it is ours.
func (p *Pool) Accept() (net.Conn, error) {
	for {
		m, err := p.receive()
		if err != nil {
			return nil, err
		}
		if m.kind == msgEnded { // not in order: its socket says so too
			log.Printf("session %s: %s", m.facts["session"], m.facts["text"])
		}
		if m.kind != msgConnection || len(m.files) != 1 {
			continue
		}
		if err = p.send(msgAck, m.id, 0); err != nil {
			return nil, err
		}
		file := os.NewFile(uintptr(m.files[0]), "connection")
		inner, err := net.FileConn(file)
		file.Close()
		if err != nil {
			return nil, err
		}
		return &conn{Conn: inner, pool: p, facts: m.facts}, nil
	}
}

func (p *Pool) Close() error   { return p.channel.Close() }
func (p *Pool) Addr() net.Addr { return p.channel.RemoteAddr() }

type factsKey struct{}

func show(w http.ResponseWriter, r *http.Request) {
	facts := r.Context().Value(factsKey{}).(map[string]string)
	names := []string{}
	for name := range facts {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(w, "remote: %s\n", r.RemoteAddr)
	for _, name := range names {
		fmt.Fprintf(w, "%s: %s\n", name, facts[name])
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: worker SOCKET")
	}
	pool, err := attach(os.Args[1])
	if err == nil {
		err = pool.send(msgCredit, 0, atOnce)
	}
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{
		Handler: http.HandlerFunc(show),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, factsKey{}, c.(*conn).facts)
		},
	}
	log.Fatal(server.Serve(pool))
}
