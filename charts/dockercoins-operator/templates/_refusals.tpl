{{/*
What is refused before anything is changed, with what to do about it: what values.schema.json can't say well, and
what only the cluster knows. `helm template` and `--dry-run=client` see no cluster, and leave that to `helm install`.

The cluster is asked only for what an installer may read anyhow, since Helm reads it to write it.
*/}}
{{- define "dockercoins-operator.refusals" -}}
{{- include "dockercoins-operator.refusedValues" . }}
{{- if .Values.crds.enabled }}
{{- include "dockercoins-operator.refusedCrd" . }}
{{- end }}
{{- if .Values.rbac.create }}
{{- include "dockercoins-operator.refusedNamespaces" . }}
{{- end }}
{{- end }}

{{- define "dockercoins-operator.refusedValues" -}}
{{- $values := .Values }}
{{- if not $values.image.repository }}
{{- fail "\n\nimage.repository is not given, and there is no public image of this operator. Build one and push it to a registry that your nodes can pull from, in a checkout of the operator's repository:\n\n  make image REGISTRY=registry.example.com/me\n\nthen install with --set image.repository=registry.example.com/me/dockercoins-operator\n" }}
{{- end }}
{{- if not (regexMatch "^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$" $values.image.repository) }}
{{- fail (printf "\n\nimage.repository is %q: write host/path, without https:// before it and without a tag or digest behind it, which are image.tag and image.digest.\n" $values.image.repository) }}
{{- end }}
{{- $networks := dict "registries.allowNetworks" $values.registries.allowNetworks "registries.denyNetworks" $values.registries.denyNetworks "networkPolicy.apiServer.cidrs" $values.networkPolicy.apiServer.cidrs "networkPolicy.registries.cidrs" $values.networkPolicy.registries.cidrs }}
{{- range $value, $list := $networks }}
{{- range $network := $list }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+){3}/[0-9]+$|^[0-9a-fA-F]*:[0-9a-fA-F:.]*/[0-9]+$" $network) }}
{{- fail (printf "\n\n%s has %q, which is no network: write it like 10.0.0.0/8 or fd00::/8, a single address like 10.1.2.3/32.\n" $value $network) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (not $values.leaderElection.enabled) (gt (int $values.replicas) 1) }}
{{- fail (printf "\n\nreplicas is %d, and leaderElection.enabled is false: all of the pods would act. Leave leaderElection.enabled true, or set replicas to 1.\n" (int $values.replicas)) }}
{{- end }}
{{- $providers := $values.registries.credentialProviders }}
{{- if ne (empty $providers.config) (empty $providers.volume) }}
{{- fail "\n\nregistries.credentialProviders needs both: config says which programs are asked for a login, volume has the programs.\n" }}
{{- end }}
{{- range $provider := dig "providers" list (default dict $providers.config) }}
{{- if not $provider.name }}
{{- fail "\n\nregistries.credentialProviders.config: a provider has no name. It is the name of its program.\n" }}
{{- end }}
{{- end }}
{{- if and $values.webhook.enabled (not $values.webhook.secret) }}
{{- fail (printf "\n\nwebhook.secret is not given: name a Secret whose key `secret` the registries show. Create one with\n\n  kubectl create secret generic dockercoins-webhook --namespace %s --from-literal=secret=\"$(openssl rand -hex 32)\"\n\nthen --set webhook.secret=dockercoins-webhook\n" .Release.Namespace) }}
{{- end }}
{{- if and $values.webhook.enabled (eq (int $values.webhook.port) (int $values.metrics.port)) }}
{{- fail (printf "\n\nwebhook.port and metrics.port are both %d: a pod can't listen there twice.\n" (int $values.metrics.port)) }}
{{- end }}
{{- if and $values.webhook.ingress.enabled (not $values.webhook.enabled) }}
{{- fail "\n\nwebhook.ingress.enabled is true, and webhook.enabled is not: the Ingress would lead nowhere.\n" }}
{{- end }}
{{- if and $values.webhook.ingress.enabled (not $values.webhook.ingress.host) }}
{{- fail "\n\nwebhook.ingress.host is not given: write the host by which registries reach the Ingress.\n" }}
{{- end }}
{{- range $word := splitList "," $values.log.level }}
{{- if not (regexMatch "^(off|error|warn|info|debug|trace|.*[=\\[].*)?$" $word) }}
{{- fail (printf "\n\nlog.level has %q: write error, warn, info, debug or trace, or directives such as info,dockercoins_operator=debug.\n" $word) }}
{{- end }}
{{- end }}
{{- $given := include "dockercoins-operator.args" . }}
{{- range $argument := $values.extraArgs }}
{{- $flag := regexFind "^--[a-z-]+" $argument }}
{{- if and $flag (not (has $flag (list "--namespace" "--allow-registry-network" "--deny-registry-network"))) (regexMatch (printf "(?m)^- %s(=|$)" $flag) $given) }}
{{- fail (printf "\n\nextraArgs has %s, which the operator is given already and takes only once: set the value that stands for it.\n" $flag) }}
{{- end }}
{{- end }}
{{- if and (not $values.serviceAccount.create) (not $values.serviceAccount.name) $values.rbac.create }}
{{- fail "\n\nserviceAccount.create is false, and serviceAccount.name is empty: the operator's rights would go to every pod of the namespace that runs as `default`. Name the ServiceAccount.\n" }}
{{- end }}
{{- end }}

{{/* A CRD that another release has. One that was applied by hand is Helm's to refuse: --take-ownership hands it over. */}}
{{- define "dockercoins-operator.refusedCrd" -}}
{{- $name := "dockercoins.dockercoins.dev" }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name }}
{{- $release := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $crd }}
{{- $namespace := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $crd }}
{{- if and $release (or (ne $release .Release.Name) (ne $namespace .Release.Namespace)) }}
{{- fail (printf "\n\nThe CRD %s belongs to the release %s in the namespace %s. If that is to stay so, install this release with --set crds.enabled=false. If that release is gone, or this one is to have the CRD from now on:\n\n  kubectl annotate crd %s --overwrite meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s\n" $name $release $namespace $name .Release.Name .Release.Namespace) }}
{{- end }}
{{- end }}

{{/*
Namespaces that aren't there, or that another release looks after. Every release names its roles alike, so what tells
of another is the role. A release for all namespaces looks for the roles of those for some; a release for some looks
for the one for all where it has business with ClusterRoles itself.
*/}}
{{- define "dockercoins-operator.refusedNamespaces" -}}
{{- $ := . }}
{{- $claim := include "dockercoins-operator.claim" . }}
{{- $taken := list }}
{{- range $namespace := .Values.watchNamespaces }}
{{- $isThere := lookup "v1" "Namespace" "" $namespace }}
{{- /* Without a cluster nothing is there. In one, the release's namespace is, or else is made by one who may ask. */}}
{{- if and (not $isThere) (or (lookup "v1" "Namespace" "" $.Release.Namespace) (lookup "v1" "Namespace" "" "default")) }}
{{- fail (printf "\n\nwatchNamespaces names %s, and the cluster has no such namespace. Create it with `kubectl create namespace %s`, or take it out of watchNamespaces.\n" $namespace $namespace) }}
{{- end }}
{{- $taken = append $taken (lookup "rbac.authorization.k8s.io/v1" "Role" $namespace $claim) }}
{{- end }}
{{- if not .Values.watchNamespaces }}
{{- $taken = concat $taken (dig "items" list (lookup "rbac.authorization.k8s.io/v1" "Role" "" "")) }}
{{- end }}
{{- if or .Values.rbac.nodes (not .Values.watchNamespaces) }}
{{- $taken = append $taken (lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" $claim) }}
{{- end }}
{{- range $role := $taken }}
{{- if eq (dig "metadata" "name" "" $role) $claim }}
{{- $release := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $role }}
{{- $namespace := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $role }}
{{- if and $release (or (ne $release $.Release.Name) (ne $namespace $.Release.Namespace)) }}
{{- $what := default "every namespace" (dig "metadata" "namespace" "" $role) }}
{{- $advice := ternary "Give that one namespaces of its own (watchNamespaces)" "Give this release other namespaces (watchNamespaces), change that one's" (eq $what "every namespace") }}
{{- fail (printf "\n\nThe release %s in the namespace %s already looks after %s, and two operators there would do everything twice. %s, or uninstall it:\n\n  helm uninstall %s --namespace %s\n" $release $namespace $what $advice $release $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
