// Asks containerd which hosts it would ask, for each registry and hosts.toml of the cases.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

type testCase struct {
	Registry string `json:"registry"`
	// The files of the folder; those but hosts.toml are empty.
	Text  *string  `json:"text,omitempty"`
	Files []string `json:"files,omitempty"`
	Hosts []answer `json:"hosts"`
}

type answer struct {
	Endpoint    string              `json:"endpoint"`
	OrHTTP      bool                `json:"or_http"`
	Path        string              `json:"path"`
	Pull        bool                `json:"pull"`
	Resolve     bool                `json:"resolve"`
	Authorities []string            `json:"authorities"`
	Clients     [][2]string         `json:"clients"`
	SkipVerify  bool                `json:"skip_verify"`
	Headers     map[string][]string `json:"headers"`
	DialTimeout int64               `json:"dial_timeout"`
}

var (
	folder string
	judged []answer
)

func relative(file string) string {
	if rest, ok := strings.CutPrefix(file, folder+"/"); ok {
		return rest
	}
	return file
}

// Files are named, not read.
func judgeTLS(*tls.Config, *hostConfig) error { return nil }

func judge(host hostConfig, transport http.RoundTripper) {
	a := answer{
		Endpoint:    host.scheme + "://" + host.host,
		OrHTTP:      strings.Contains(fmt.Sprintf("%T", transport), "httpFallback"),
		Path:        strings.TrimSuffix(path.Join("/", host.path), "/"),
		Pull:        host.capabilities.Has(docker.HostCapabilityPull),
		Resolve:     host.capabilities.Has(docker.HostCapabilityResolve),
		Authorities: []string{},
		Clients:     [][2]string{},
		Headers:     map[string][]string{},
	}
	for _, file := range host.caCerts {
		a.Authorities = append(a.Authorities, relative(file))
	}
	for _, pair := range host.clientPairs {
		a.Clients = append(a.Clients, [2]string{relative(pair[0]), relative(pair[1])})
	}
	if host.skipVerify != nil {
		a.SkipVerify = *host.skipVerify
	}
	for name, values := range host.header {
		a.Headers[strings.ToLower(name)] = values
	}
	if host.dialTimeout != nil {
		a.DialTimeout = host.dialTimeout.Nanoseconds()
	}
	judged = append(judged, a)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	check(err)
	var cases []testCase
	check(json.Unmarshal(text, &cases))
	for i := range cases {
		c := &cases[i]
		root, err := os.MkdirTemp("", "judge")
		check(err)
		folder = filepath.Join(root, c.Registry)
		check(os.MkdirAll(folder, 0o755))
		for _, name := range c.Files {
			check(os.WriteFile(filepath.Join(folder, name), nil, 0o644))
		}
		judged = nil
		if c.Text != nil {
			check(os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(*c.Text), 0o644))
			if _, err := parseHostsFile(folder, []byte(*c.Text)); err != nil {
				// containerd would log this, and go on as if there were no such file.
				fmt.Fprintf(os.Stderr, "case %d: %v\n", i, err)
				c.Hosts = nil
				continue
			}
		}
		options := HostOptions{HostDir: HostDirFromRoot(root)}
		_, err = ConfigureHosts(context.Background(), options)(c.Registry)
		check(err)
		c.Hosts = judged
	}
	out, err := os.Create(os.Args[1])
	check(err)
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(cases))
	check(out.Close())
}
