package main

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/kubernetes/pkg/credentialprovider"
)

type keyringQuestion struct {
	Secrets []struct {
		// Old is whether it is of the type kubernetes.io/dockercfg.
		Old     bool   `json:"old"`
		Payload string `json:"payload"`
	} `json:"secrets"`
	Images []string `json:"images"`
}

type keyringAnswer struct {
	Secrets []secretAnswer `json:"secrets"`
	// Tried are the logins for each image, in order.
	Tried [][]login `json:"tried"`
}

type secretAnswer struct {
	// Refused is whether nothing of the document can be read.
	Refused bool `json:"refused"`
	// Skipped are the keys of entries that can't be read, or can't be used, sorted.
	Skipped []string `json:"skipped"`
}

type login struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// judgeKeyring makes the kubelet's keyring of some pull secrets, and asks it for some images.
//
// Two things of the kubelet's are set aside, since the resolver means to be milder there. One entry
// that can't be read spoils all secrets for the kubelet: it is left out here, and the keyring is
// made of the others. And the order of a document's entries is chance: here they are added sorted.
func judgeKeyring(question []byte) (any, error) {
	var asked keyringQuestion
	if err := json.Unmarshal(question, &asked); err != nil {
		return nil, err
	}
	answer := keyringAnswer{Secrets: []secretAnswer{}, Tried: [][]login{}}
	keyring := &credentialprovider.BasicDockerKeyring{}
	for _, secret := range asked.Secrets {
		entries, skipped, err := read(secret.Old, []byte(secret.Payload))
		if err != nil {
			answer.Secrets = append(answer.Secrets, secretAnswer{Refused: true, Skipped: []string{}})
			continue
		}
		keys := []string{}
		for key, entry := range entries {
			if isUsable(key, entry) {
				keys = append(keys, key)
			} else {
				skipped = append(skipped, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			keyring.Add(nil, credentialprovider.DockerConfig{key: entries[key]})
		}
		slices.Sort(skipped)
		answer.Secrets = append(answer.Secrets, secretAnswer{Skipped: skipped})
	}
	for _, image := range asked.Images {
		found, _ := keyring.Lookup(image)
		tried := []login{}
		for _, one := range found {
			tried = append(tried, login{one.Username, one.Password})
		}
		answer.Tried = append(answer.Tried, tried)
	}
	return answer, nil
}

// read reads a pull secret's document as the kubelet does; where that fails, entry by entry.
func read(old bool, payload []byte) (entries credentialprovider.DockerConfig, skipped []string, err error) {
	skipped = []string{}
	var document credentialprovider.DockerConfigJSON
	if old {
		err = json.Unmarshal(payload, &document.Auths)
	} else {
		err = json.Unmarshal(payload, &document)
	}
	if err == nil {
		return document.Auths, skipped, nil
	}
	var raw struct {
		Auths       map[string]json.RawMessage `json:"auths"`
		HTTPHeaders map[string]string          `json:"HttpHeaders"`
	}
	if old {
		err = json.Unmarshal(payload, &raw.Auths)
	} else {
		err = json.Unmarshal(payload, &raw)
	}
	if err != nil {
		return nil, nil, err
	}
	entries = credentialprovider.DockerConfig{}
	for key, text := range raw.Auths {
		var entry credentialprovider.DockerConfigEntry
		if json.Unmarshal(text, &entry) == nil {
			entries[key] = entry
		} else {
			skipped = append(skipped, key)
		}
	}
	return entries, skipped, nil
}

// isUsable tells whether the keyring takes the entry, which it does not tell itself, and whether
// the login can be handed on: the interface to the container runtime carries UTF-8 only.
func isUsable(key string, entry credentialprovider.DockerConfigEntry) bool {
	if !strings.HasPrefix(key, "https://") && !strings.HasPrefix(key, "http://") {
		key = "https://" + key
	}
	_, err := url.Parse(key)
	return err == nil && utf8.ValidString(entry.Username) && utf8.ValidString(entry.Password)
}
