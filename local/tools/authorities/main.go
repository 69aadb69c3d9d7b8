// authorities prints the certificate authorities that images of ours trust, in PEM:
// Mozilla's, as Go's own project keeps them. What is pinned here gives the same bytes
// on every machine, where a system's own list differs from one update to the next.
package main

import (
	"encoding/pem"
	"log"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	for root := range bundle.Roots() {
		// One that Mozilla trusts only for what it signed before some day: a file can't say that.
		if root.Constraint != nil {
			continue
		}
		block := &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}
		if err := pem.Encode(os.Stdout, block); err != nil {
			log.Fatal(err)
		}
	}
}
