// The kubelet's own verdict on the cases of credential provider plugins.
//
// It reads the cases from its standard input and writes them with their verdicts to its standard
// output. How it is run stands in the README of the folder above.
//
// The kubelet registers plugins once in a process, so that each case is judged by a process of
// its own: this program again, with the case's kind as its argument.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/credentialprovider/plugin"
)

type cases struct {
	Configs []*config `json:"configs"`
	Lookups []*lookup `json:"lookups"`
}

// A configuration: a folder of files, or a file where there is one by the name of `config`.
type config struct {
	Name     string            `json:"name"`
	Files    map[string]string `json:"files"`
	Accepted bool              `json:"accepted"`
	Said     string            `json:"said"`
}

// A configuration with plugins that print what is given for them, and images that are looked up
// one after the other.
type lookup struct {
	Name    string            `json:"name"`
	Config  string            `json:"config"`
	Answers map[string]string `json:"answers"`
	Images  []string          `json:"images"`
	// For each image the logins that would be tried, and whether a plugin failed.
	Logins [][]login `json:"logins"`
	Failed []bool    `json:"failed"`
	// How often each plugin ran.
	Runs map[string]int `json:"runs"`
}

type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func main() {
	if len(os.Args) > 1 {
		judgeOne(os.Args[1])
		return
	}
	var all cases
	check(json.NewDecoder(os.Stdin).Decode(&all))
	for _, one := range all.Configs {
		apart("config", one)
	}
	for _, one := range all.Lookups {
		apart("lookup", one)
	}
	write(all)
}

// Has a case judged by a process of its own.
func apart(kind string, one any) {
	asked, err := json.Marshal(one)
	check(err)
	self, err := os.Executable()
	check(err)
	command := exec.Command(self, kind)
	command.Stdin, command.Stderr = bytes.NewReader(asked), os.Stderr
	answered, err := command.Output()
	check(err)
	check(json.Unmarshal(answered, one))
}

func judgeOne(kind string) {
	folder, err := os.MkdirTemp("", "judge")
	check(err)
	defer os.RemoveAll(folder)
	switch kind {
	case "config":
		var one config
		check(json.NewDecoder(os.Stdin).Decode(&one))
		one.judge(folder)
		write(one)
	case "lookup":
		var one lookup
		check(json.NewDecoder(os.Stdin).Decode(&one))
		one.judge(folder)
		write(one)
	}
}

func (one *config) judge(folder string) {
	bin := filepath.Join(folder, "bin")
	for _, name := range []string{"a", "b", "5", "yes"} {
		program(bin, name, "", filepath.Join(folder, "runs"))
	}
	files := filepath.Join(folder, "files")
	check(os.MkdirAll(files, 0o755))
	path := files
	for name, text := range one.Files {
		file := filepath.Join(files, name)
		check(os.WriteFile(file, []byte(text), 0o644))
		if name == "config" {
			path = file
		}
	}
	err := plugin.RegisterCredentialProviderPlugins(path, bin, nil, nil)
	one.Accepted, one.Said = err == nil, ""
	if err != nil {
		one.Said = strings.ReplaceAll(err.Error(), folder, "")
	}
}

func (one *lookup) judge(folder string) {
	bin := filepath.Join(folder, "bin")
	runs := func(name string) string { return filepath.Join(folder, "runs-"+name) }
	for name, answer := range one.Answers {
		program(bin, name, answer, runs(name))
	}
	path := filepath.Join(folder, "config")
	check(os.WriteFile(path, []byte(one.Config), 0o644))
	check(plugin.RegisterCredentialProviderPlugins(path, bin, nil, nil))
	var log bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(&log)
	one.Logins, one.Failed, one.Runs = [][]login{}, []bool{}, map[string]int{}
	for _, image := range one.Images {
		log.Reset()
		found, _ := plugin.NewExternalCredentialProviderDockerKeyring("", "", "", "").Lookup(image)
		logins := []login{}
		for _, one := range found {
			logins = append(logins, login{one.Username, one.Password})
		}
		klog.Flush()
		one.Logins = append(one.Logins, logins)
		one.Failed = append(one.Failed, strings.Contains(log.String(), "Failed to provide credentials"))
	}
	for name := range one.Answers {
		ran, _ := os.ReadFile(runs(name))
		one.Runs[name] = len(ran)
	}
}

// Writes a plugin that notes that it ran, reads what it is asked, and prints its answer.
func program(bin, name, answer, runs string) {
	check(os.MkdirAll(bin, 0o755))
	answerFile := filepath.Join(bin, "."+name+".answer")
	check(os.WriteFile(answerFile, []byte(answer), 0o644))
	script := fmt.Sprintf("#!/bin/sh\nprintf x >> '%s'\ncat > /dev/null\ncat '%s'\n", runs, answerFile)
	check(os.WriteFile(filepath.Join(bin, name), []byte(script), 0o755))
}

func write(value any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	check(encoder.Encode(value))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
