// An ingress controller: skipper's proxy, and of all that can tell it where to lead requests only the cluster's
// Ingresses. Building all of upstream's filters would pull in a policy engine, a WebAssembly runtime and a database.
package main

import (
	"flag"
	"log"
	"net/http"
	"time"

	"github.com/zalando/skipper/dataclients/kubernetes"
	"github.com/zalando/skipper/filters/builtin"
	"github.com/zalando/skipper/loadbalancer"
	"github.com/zalando/skipper/proxy"
	"github.com/zalando/skipper/routing"
)

func main() {
	address := flag.String("address", ":8080", "where requests come in")
	class := flag.String("class", "skipper", "the name of the IngressClass that is served")
	flag.Parse()

	ingresses, err := kubernetes.New(kubernetes.Options{
		KubernetesInCluster:            true,
		KubernetesEnableEndpointslices: true,
		IngressClass:                   "^" + *class + "$",
		PathMode:                       kubernetes.PathPrefix,
		// A Service that is only another name would lead requests out of the cluster.
		OnlyAllowedExternalNames: true,
	})
	if err != nil {
		log.Fatalf("the cluster's Ingresses can't be read: %v", err)
	}
	endpoints := routing.NewEndpointRegistry(routing.RegistryOptions{})
	routes := routing.New(routing.Options{
		FilterRegistry: builtin.MakeRegistry(),
		DataClients:    []routing.DataClient{ingresses},
		PollTimeout:    time.Second,
		// So that whoever reaches it is led by the Ingresses that there are.
		SignalFirstLoad: true,
		PostProcessors:  []routing.PostProcessor{loadbalancer.NewAlgorithmProvider(), endpoints},
	})
	<-routes.FirstLoad()
	handler := proxy.WithParams(proxy.Params{
		Routing:          routes,
		EndpointRegistry: endpoints,
		Flags:            proxy.PreserveHost,
		Timeout:          5 * time.Second,
	})
	server := &http.Server{Addr: *address, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
