package main

import (
	// A digest's algorithm is known only to a program that links it.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/json"

	"github.com/distribution/reference"
)

type name struct {
	Host       string `json:"host"`
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
	Normal     string `json:"normal"`
	Familiar   string `json:"familiar"`
}

// judgeName reads a text as Docker does where an image is wanted. The answer is the name with its
// defaults filled in, or null where it is none.
func judgeName(question []byte) (any, error) {
	var text string
	if err := json.Unmarshal(question, &text); err != nil {
		return nil, err
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return nil, nil
	}
	named = reference.TagNameOnly(named)
	answer := name{
		Host:       reference.Domain(named),
		Repository: reference.Path(named),
		Normal:     named.String(),
		Familiar:   reference.FamiliarString(named),
	}
	if tagged, ok := named.(reference.Tagged); ok {
		answer.Tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		answer.Digest = digested.Digest().String()
	}
	return answer, nil
}
