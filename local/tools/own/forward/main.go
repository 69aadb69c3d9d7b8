// forward listens on a loopback port here and connects from inside another
// network namespace.
//
//	forward LISTEN TARGET NAMESPACE
//
// LISTEN and TARGET are HOST:PORT; NAMESPACE is a file such as /proc/PID/ns/net.
//
// A socket belongs to the namespace in which it was opened, whatever its process
// does later. So the listening socket is opened first, and the program then runs
// itself again through nsenter, with that socket as an inherited file: from there
// on everything it dials is inside.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// inheritedSocket marks the second run: the listening socket is file 3.
const inheritedSocket = "--inherited"

// dialTimeout bounds how long a client waits to hear that nobody answers inside.
const dialTimeout = 5 * time.Second

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == inheritedSocket:
		err = serve(os.Args[2])
	case len(os.Args) == 4:
		err = enter(os.Args[1], os.Args[2], os.Args[3])
	default:
		err = errors.New("usage: forward LISTEN TARGET NAMESPACE")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

// enter opens the listening socket and replaces this process by one that has the
// socket and runs inside the namespace. It returns only on failure.
func enter(listen, target, namespace string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		return fmt.Errorf("pass on the socket of %s: %w", listen, err)
	}
	// Dup2 clears close-on-exec, which Dup3 and File set.
	if err := syscall.Dup2(int(socket.Fd()), 3); err != nil {
		return fmt.Errorf("pass on the socket of %s: %w", listen, err)
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return fmt.Errorf("enter %s: %w", namespace, err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	arguments := []string{"nsenter", "--net=" + namespace, "--", self, inheritedSocket, target}
	return fmt.Errorf("run %s: %w", nsenter, syscall.Exec(nsenter, arguments, os.Environ()))
}

// serve accepts on the inherited socket until it fails.
func serve(target string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return fmt.Errorf("listen on the inherited socket: %w", err)
	}
	for {
		client, err := listener.Accept()
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ECONNABORTED) {
			// Open connections will end; a short wait keeps this from spinning.
			time.Sleep(50 * time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go join(client.(*net.TCPConn), target)
	}
}

// join copies between the client and a new connection to the target. Each
// direction ends by itself, so that a client that has sent all it had to say can
// still read the answer.
func join(client *net.TCPConn, target string) {
	defer client.Close()
	connection, err := net.DialTimeout("tcp", target, dialTimeout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		return
	}
	inside := connection.(*net.TCPConn)
	defer inside.Close()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		pass(client, inside)
	}()
	pass(inside, client)
	<-answered
}

// pass copies one direction to its end. A failed copy ends both: the other
// direction would wait for an answer that can no longer come.
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	to.CloseWrite()
}
