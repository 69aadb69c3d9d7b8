{{/*
The operator's permissions in a namespace that it watches. tests/rights compares them with the API server's audit log:
the operator uses every verb, and needs no other.
*/}}
{{- define "dockercoins-operator.rules" -}}
# Patch: a push notification sets the annotation requestedAt. The operator never writes the spec.
- apiGroups: [dockercoins.dev]
  resources: [dockercoins]
  verbs: [get, list, watch, patch]
- apiGroups: [dockercoins.dev]
  resources: [dockercoins/status]
  verbs: [patch]
# For owner references with blockOwnerDeletion, in clusters that check this permission.
- apiGroups: [dockercoins.dev]
  resources: [dockercoins/finalizers]
  verbs: [update]
# Create and patch: server-side apply. Get: for the handover of objects to another owner by annotation.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# Optional kinds: without one of these permissions, only resources that use the kind report an error.
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
# Pull secrets and certificates that a resource names. No list: the operator only gets them by name.
- apiGroups: [""]
  resources: [secrets, configmaps, serviceaccounts]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
