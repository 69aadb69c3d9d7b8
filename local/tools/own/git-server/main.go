// git-server serves Git repositories over plain HTTP, to everyone who reaches it.
//
//	git-server LISTEN FOLDER
//
// The work is done by git's own `http-backend`. A repository that isn't in FOLDER is made, empty, when it is first
// asked for.
package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// repository is the first element of a path, such as `coins.git`.
var repository = regexp.MustCompile(`^/([a-z][a-z0-9-]{0,60}\.git)/`)

func main() {
	err := errors.New("usage: git-server LISTEN FOLDER")
	if len(os.Args) == 3 {
		err = serve(os.Args[1], os.Args[2])
	}
	fmt.Fprintln(os.Stderr, "git-server:", err)
	os.Exit(1)
}

func serve(listen, folder string) error {
	git, err := exec.LookPath("git")
	if err != nil {
		return fmt.Errorf("git is needed to serve repositories: %w", err)
	}
	backend := &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env:  []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=yes"},
	}
	// Two pushes may be the first.
	var making sync.Mutex
	handler := func(response http.ResponseWriter, request *http.Request) {
		found := repository.FindStringSubmatch(request.URL.Path)
		if found == nil {
			http.NotFound(response, request)
			return
		}
		making.Lock()
		err := ensure(git, filepath.Join(folder, found[1]))
		making.Unlock()
		if err != nil {
			http.Error(response, err.Error(), http.StatusInternalServerError)
			return
		}
		backend.ServeHTTP(response, request)
	}
	server := &http.Server{Addr: listen, Handler: http.HandlerFunc(handler), ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// ensure makes a repository that isn't there, into which anyone may push.
func ensure(git, path string) error {
	if _, err := os.Stat(filepath.Join(path, "HEAD")); err == nil {
		return nil
	}
	for _, arguments := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", path},
		{"-C", path, "config", "http.receivepack", "true"},
	} {
		if said, err := exec.Command(git, arguments...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w: %s", arguments[0], err, said)
		}
	}
	return nil
}
