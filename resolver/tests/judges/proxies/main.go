// Asks Go through which proxy it would ask each address of the cases.
package main

import (
	"encoding/json"
	"net/url"
	"os"

	"golang.org/x/net/http/httpproxy"
)

type testCase struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
	No    string `json:"no"`
	// The addresses, and what the proxy for each is; empty where there is none.
	Targets map[string]string `json:"targets"`
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
	for _, c := range cases {
		config := httpproxy.Config{HTTPProxy: c.HTTP, HTTPSProxy: c.HTTPS, NoProxy: c.No}
		proxy := config.ProxyFunc()
		for target := range c.Targets {
			address, err := url.Parse(target)
			check(err)
			found, err := proxy(address)
			check(err)
			c.Targets[target] = ""
			if found != nil {
				c.Targets[target] = found.Scheme + "://" + found.Host
			}
		}
	}
	out, err := os.Create(os.Args[1])
	check(err)
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	check(encoder.Encode(cases))
	check(out.Close())
}
