// The judge of names and logins: the Go code by which Docker reads names and the kubelet reads
// pull secrets, asked directly.
//
// Usage: judge names|keyring. Each line of standard input is a question in JSON, and each line of
// standard output is its answer.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	judges := map[string]func([]byte) (any, error){"names": judgeName, "keyring": judgeKeyring}
	if len(os.Args) != 2 || judges[os.Args[1]] == nil {
		fail("usage: judge names|keyring")
	}
	judge := judges[os.Args[1]]
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for lines.Scan() {
		answer, err := judge(lines.Bytes())
		if err != nil {
			fail(fmt.Sprintf("the question %s can't be read: %v", lines.Text(), err))
		}
		if err := answers.Encode(answer); err != nil {
			fail(err.Error())
		}
	}
	if err := lines.Err(); err != nil {
		fail(err.Error())
	}
	if err := out.Flush(); err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "judge:", why)
	os.Exit(1)
}
