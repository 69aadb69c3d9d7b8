# The front door: every target says in its comment what it does, and its work is in scripts/.

.DEFAULT_GOAL := help
.PHONY: help demo test check generate image images cluster figures down

# Only what stands on make's command line counts: a KUBECONFIG from the environment is never touched.
ifeq ($(origin KUBECONFIG),command line)
export DEMO_KUBECONFIG := $(KUBECONFIG)
endif
ifeq ($(origin REGISTRY),command line)
export DEMO_REGISTRY := $(REGISTRY)
endif
unexport KUBECONFIG
unexport REGISTRY

images: TAG ?= v0.1

# Whoever makes images says where they go.
define need_registry
@[ -n "$$DEMO_REGISTRY" ] || { printf 'error: REGISTRY is missing\n       write: make $@ REGISTRY=host:port/path [TAG=...]\n' >&2; exit 1; }
endef

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Watch DockerCoins mine on a Kubernetes of this machine's own; KUBECONFIG=... [REGISTRY=...] for a cluster of yours.
	@scripts/demo

# scripts/test says what the steps are, and what ONLY takes.
test: ## Run every test, or ONLY="WORD..." those with such a word in their path, such as ONLY=drift.
	@scripts/test

check: ## Check format, lints, docs, licences and generated files.
	@scripts/check

generate: ## Write the generated files: the CRD, and the descriptions of the chart's values.
	@scripts/generate

image: ## Build the operator's image and push it: REGISTRY=host:port/path [TAG=its version].
	$(need_registry)
	@scripts/image "$$DEMO_REGISTRY" $(TAG)

images: ## Build the application's images and push them: REGISTRY=host:port/path [TAG=v0.1; v0.2 has the course's flaws].
	$(need_registry)
	@dockercoins/push-images "$$DEMO_REGISTRY" "$(TAG)"

cluster: ## Bring up the local Kubernetes alone, without the demo.
	@local/up

figures: ## Measure what the README claims: latency, requests, throughput, memory, sizes.
	@scripts/figures

down: ## End the demo and every local Kubernetes of this checkout, and leave nothing behind.
	@local/down --all
