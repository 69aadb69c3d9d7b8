{{/*
What the operator does in a namespace that it looks after, each verb for a request that it sends. tests hold these
rules to the API server's audit log: nothing may be missing, and nothing too many.
*/}}
{{- define "dockercoins-operator.rules" -}}
# Patch: the annotation by which a push has tags asked for again. The spec is never written.
- apiGroups: [dockercoins.dev]
  resources: [dockercoins]
  verbs: [get, list, watch, patch]
- apiGroups: [dockercoins.dev]
  resources: [dockercoins/status]
  verbs: [patch]
# For owner references that block deletion, where the cluster checks who may set them.
- apiGroups: [dockercoins.dev]
  resources: [dockercoins/finalizers]
  verbs: [update]
# Server-side apply creates and patches. Get: what is handed over by annotation is read whole.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# What only some resources ask for: without one of these, they tell so, and all others are served.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies, ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Logins and certificates that a resource names, one by one: they can't be listed.
- apiGroups: [""]
  resources: [secrets, configmaps, serviceaccounts]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
