// What others make of a resource's state: kstatus, by which Flux and Helm wait, and a health check in Lua as Argo CD
// runs it. The script is the one argument. States are read from the standard input, as JSON one after the other, and
// answered by a line each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type verdict struct {
	Kstatus string `json:"kstatus"`
	Health  string `json:"health"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string, in io.Reader, out io.Writer) error {
	script, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	states := json.NewDecoder(in)
	for {
		var state json.RawMessage
		if err := states.Decode(&state); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		given, err := judge(string(script), state)
		if err != nil {
			return fmt.Errorf("%w, of %s", err, state)
		}
		if err := json.NewEncoder(out).Encode(given); err != nil {
			return err
		}
	}
}

func judge(script string, state []byte) (verdict, error) {
	resource := &unstructured.Unstructured{}
	if err := resource.UnmarshalJSON(state); err != nil {
		return verdict{}, err
	}
	computed, err := status.Compute(resource)
	if err != nil {
		return verdict{}, err
	}
	health, message, err := check(script, resource.Object)
	return verdict{Kstatus: computed.Status.String(), Health: health, Message: message}, err
}

// check runs the script as Argo CD does: with the global `obj`, the libraries that it opens of those that touch
// nothing outside, and an end. (Argo CD gives it a second, which a busy machine may not have for it.)
func check(script string, resource map[string]any) (health, message string, err error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	within, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	state.SetContext(within)
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		if err := state.PCall(1, 0, nil); err != nil {
			return "", "", err
		}
	}
	state.SetGlobal("obj", value(state, resource))
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	answer, isTable := state.Get(-1).(*lua.LTable)
	if !isTable {
		return "", "", fmt.Errorf("the script answers %s instead of a table", state.Get(-1).Type())
	}
	return lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message")), nil
}

// value is what of JSON has become, as Lua has it.
func value(state *lua.LState, of any) lua.LValue {
	switch of := of.(type) {
	case bool:
		return lua.LBool(of)
	case string:
		return lua.LString(of)
	case int64:
		return lua.LNumber(of)
	case float64:
		return lua.LNumber(of)
	case []any:
		list := state.NewTable()
		for _, item := range of {
			list.Append(value(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, item := range of {
			table.RawSetString(key, value(state, item))
		}
		return table
	}
	return lua.LNil
}
