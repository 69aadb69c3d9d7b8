// A controller that enforces NetworkPolicies on this node: that of kube-router, without its router and its proxy for
// Services. It writes iptables rules and sets of addresses, by the programs `iptables` and `ipset` on its PATH.
package main

import (
	"flag"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/v2/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/v2/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	config := options.NewKubeRouterConfig()
	config.EnableIPv4 = true
	services := flag.String("services", "10.96.0.0/16", "the addresses of Services")
	flag.StringVar(&config.HostnameOverride, "node", "", "the name of this node")
	flag.StringVar(&config.Kubeconfig, "kubeconfig", "", "how to reach the API server")
	ready := flag.String("ready", "127.0.0.1:8182", "where /ready says whether the rules are written")
	flag.Parse()
	config.ClusterIPCIDRs = []string{*services}

	access, err := clientcmd.BuildConfigFromFlags("", config.Kubeconfig)
	if err != nil {
		log.Fatalf("the kubeconfig can't be used: %v", err)
	}
	client := kubernetes.NewForConfigOrDie(access)
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()

	tables, sets, err := netpol.NewIPTablesHandlers(config)
	if err != nil {
		log.Fatalf("the programs that write rules can't be used: %v", err)
	}
	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sync.Mutex{}, tables, sets)
	if err != nil {
		log.Fatalf("the controller can't begin: %v", err)
	}
	follow(pods, controller.PodEventHandler)
	follow(namespaces, controller.NamespaceEventHandler)
	follow(policies, controller.NetworkPolicyEventHandler)
	forever := make(chan struct{})
	factory.Start(forever)
	factory.WaitForCacheSync(forever)

	var running sync.WaitGroup
	running.Add(1)
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go controller.Run(beats, forever, &running)
	answer(*ready, beats)
}

func follow(objects cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
	if _, err := objects.AddEventHandler(handler); err != nil {
		log.Fatalf("objects can't be followed: %v", err)
	}
}

// answer says at /ready whether the controller has begun to write rules: it sends a beat each time it does.
func answer(address string, beats <-chan *healthcheck.ControllerHeartbeat) {
	var begun atomic.Bool
	go func() {
		for range beats {
			begun.Store(true)
		}
	}()
	http.HandleFunc("/ready", func(response http.ResponseWriter, _ *http.Request) {
		if !begun.Load() {
			http.Error(response, "no rules yet", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Addr: address, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
