{{/*
Checks before anything is written: of values, where values.schema.json cannot express the rule or its message, and of
the cluster. `helm template` and `--dry-run=client` skip the checks of the cluster, because they cannot read it.

The chart only looks up objects that the installer can read anyway, because Helm reads them before it writes them.
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
{{- fail "\n\nimage.repository is required: there is no public image of the operator. Build the image and push it to a registry that your nodes can pull from, in a checkout of the operator's repository:\n\n  make image REGISTRY=registry.example.com/me\n\nThen install with --set image.repository=registry.example.com/me/dockercoins-operator\n" }}
{{- end }}
{{- if not (regexMatch "^[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*$" $values.image.repository) }}
{{- fail (printf "\n\nimage.repository is %q: write host/path, without https://. Set the tag in image.tag and the digest in image.digest.\n" $values.image.repository) }}
{{- end }}
{{- $networks := dict "registries.allowNetworks" $values.registries.allowNetworks "registries.denyNetworks" $values.registries.denyNetworks "networkPolicy.apiServer.cidrs" $values.networkPolicy.apiServer.cidrs "networkPolicy.registries.cidrs" $values.networkPolicy.registries.cidrs }}
{{- range $value, $list := $networks }}
{{- range $network := $list }}
{{- if not (regexMatch "^[0-9]+(\\.[0-9]+){3}/[0-9]+$|^[0-9a-fA-F]*:[0-9a-fA-F:.]*/[0-9]+$" $network) }}
{{- fail (printf "\n\n%s: %q is not a CIDR: write a network such as 10.0.0.0/8 or fd00::/8, or an address such as 10.1.2.3/32.\n" $value $network) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (not $values.leaderElection.enabled) (gt (int $values.replicas) 1) }}
{{- fail (printf "\n\nreplicas is %d and leaderElection.enabled is false: every pod would write. Set leaderElection.enabled to true, or replicas to 1.\n" (int $values.replicas)) }}
{{- end }}
{{- $providers := $values.registries.credentialProviders }}
{{- if ne (empty $providers.config) (empty $providers.volume) }}
{{- fail "\n\nregistries.credentialProviders needs both config and volume: config names the plugins, volume holds their binaries.\n" }}
{{- end }}
{{- range $provider := dig "providers" list (default dict $providers.config) }}
{{- if not $provider.name }}
{{- fail "\n\nregistries.credentialProviders.config: a provider has no name. Write the name of its binary.\n" }}
{{- end }}
{{- end }}
{{- if and $values.webhook.enabled (not $values.webhook.secret) }}
{{- fail (printf "\n\nwebhook.secret is required when webhook.enabled is true. Create a Secret with the key `secret`:\n\n  kubectl create secret generic dockercoins-webhook --namespace %s --from-literal=secret=\"$(openssl rand -hex 32)\"\n\nThen install with --set webhook.secret=dockercoins-webhook\n" .Release.Namespace) }}
{{- end }}
{{- if and $values.webhook.enabled (eq (int $values.webhook.port) (int $values.metrics.port)) }}
{{- fail (printf "\n\nwebhook.port and metrics.port are both %d: write two different ports.\n" (int $values.metrics.port)) }}
{{- end }}
{{- if and $values.webhook.ingress.enabled (not $values.webhook.enabled) }}
{{- fail "\n\nwebhook.ingress.enabled requires webhook.enabled: set both to true, or webhook.ingress.enabled to false.\n" }}
{{- end }}
{{- if and $values.webhook.ingress.enabled (not $values.webhook.ingress.host) }}
{{- fail "\n\nwebhook.ingress.host is required when webhook.ingress.enabled is true: write the host name that registries send to.\n" }}
{{- end }}
{{- range $word := splitList "," $values.log.level }}
{{- if not (regexMatch "^(off|error|warn|info|debug|trace|.*[=\\[].*)?$" $word) }}
{{- fail (printf "\n\nlog.level: %q is not a level: write error, warn, info, debug or trace, or directives such as info,dockercoins_operator=debug.\n" $word) }}
{{- end }}
{{- end }}
{{- $given := include "dockercoins-operator.args" . }}
{{- range $argument := $values.extraArgs }}
{{- $flag := regexFind "^--[a-z-]+" $argument }}
{{- if and $flag (not (has $flag (list "--namespace" "--allow-registry-network" "--deny-registry-network"))) (regexMatch (printf "(?m)^- %s(=|$)" $flag) $given) }}
{{- fail (printf "\n\nextraArgs has %s, which the chart already sets: set the chart's value for this flag.\n" $flag) }}
{{- end }}
{{- end }}
{{- if and (not $values.serviceAccount.create) (not $values.serviceAccount.name) $values.rbac.create }}
{{- fail "\n\nserviceAccount.create is false and serviceAccount.name is empty: every pod with the ServiceAccount `default` would get the operator's permissions. Set serviceAccount.name.\n" }}
{{- end }}
{{- end }}

{{/* A CRD of another release. Helm itself refuses a CRD that was applied by hand; --take-ownership adopts it. */}}
{{- define "dockercoins-operator.refusedCrd" -}}
{{- $name := "dockercoins.dockercoins.dev" }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" $name }}
{{- $release := dig "metadata" "annotations" "meta.helm.sh/release-name" "" $crd }}
{{- $namespace := dig "metadata" "annotations" "meta.helm.sh/release-namespace" "" $crd }}
{{- if and $release (or (ne $release .Release.Name) (ne $namespace .Release.Namespace)) }}
{{- fail (printf "\n\nThe CRD %s belongs to the release %s in the namespace %s. To leave it there, install this release with --set crds.enabled=false. To hand it over to this release, for example if the other release was uninstalled:\n\n  kubectl annotate crd %s --overwrite meta.helm.sh/release-name=%s meta.helm.sh/release-namespace=%s\n" $name $release $namespace $name .Release.Name .Release.Namespace) }}
{{- end }}
{{- end }}

{{/*
Namespaces that do not exist, or that another release watches. The role has the same name in every release, so it
reveals the other release. A release for all namespaces looks up the Roles in each; a release for some namespaces also
looks up the ClusterRole if the release has ClusterRoles itself.
*/}}
{{- define "dockercoins-operator.refusedNamespaces" -}}
{{- $ := . }}
{{- $claim := include "dockercoins-operator.claim" . }}
{{- $taken := list }}
{{- range $namespace := .Values.watchNamespaces }}
{{- $isThere := lookup "v1" "Namespace" "" $namespace }}
{{- /* Without a cluster every lookup is empty. In a cluster, at least one of these two namespaces is readable. */}}
{{- if and (not $isThere) (or (lookup "v1" "Namespace" "" $.Release.Namespace) (lookup "v1" "Namespace" "" "default")) }}
{{- fail (printf "\n\nwatchNamespaces: the namespace %s does not exist. Create it with `kubectl create namespace %s`, or remove it from watchNamespaces.\n" $namespace $namespace) }}
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
{{- $advice := ternary "Set watchNamespaces in that release" "Set other namespaces in watchNamespaces of this release or of that one" (eq $what "every namespace") }}
{{- fail (printf "\n\nThe release %s in the namespace %s already watches %s, and two operators must not watch one namespace. %s, or uninstall that release:\n\n  helm uninstall %s --namespace %s\n" $release $namespace $what $advice $release $namespace) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
