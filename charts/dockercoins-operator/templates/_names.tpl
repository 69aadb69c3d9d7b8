{{/* Names and labels. */}}

{{- define "dockercoins-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* Leaves room for suffixes. */}}
{{- define "dockercoins-operator.fullname" -}}
{{- $name := include "dockercoins-operator.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The name of cluster-scoped objects. */}}
{{- define "dockercoins-operator.clusterwide" -}}
{{- printf "%s-%s" .Release.Namespace (include "dockercoins-operator.fullname" .) }}
{{- end }}

{{/*
The name of the role for one namespace, or for all of them. It is the same in every release, so that Helm refuses a
second release for the same namespace.
*/}}
{{- define "dockercoins-operator.claim" -}}
dockercoins-operator
{{- end }}

{{- define "dockercoins-operator.selector" -}}
app.kubernetes.io/name: {{ include "dockercoins-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "dockercoins-operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "dockercoins-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "dockercoins-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "dockercoins-operator.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "dockercoins-operator.image" -}}
{{- with .Values.image }}
{{- $tag := default $.Chart.AppVersion .tag }}
{{- .repository }}:{{ $tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* The directory of a registry host: containerd's form for systems that do not allow a colon in names. */}}
{{- define "dockercoins-operator.hostFolder" -}}
{{- regexReplaceAll ":([0-9]+)$" . "_${1}_" }}
{{- end }}
