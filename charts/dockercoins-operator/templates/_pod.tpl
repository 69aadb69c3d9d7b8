{{/* Arguments, environment, volumes and security context of the operator's container. */}}

{{- define "dockercoins-operator.args" -}}
- run
- --http-address={{ include "dockercoins-operator.address" (list . .Values.metrics.port) }}
- --concurrency={{ int .Values.concurrency }}
{{- if .Values.leaderElection.enabled }}
- --leader-elect
- --lease-name={{ include "dockercoins-operator.fullname" . }}
- --lease-namespace={{ .Release.Namespace }}
{{- end }}
{{- range uniq (default list .Values.watchNamespaces) }}
- --namespace={{ . }}
{{- end }}
{{- with .Values.registries }}
- --registry-deadline={{ int .deadline }}
{{- range .allowNetworks }}
- --allow-registry-network={{ . }}
{{- end }}
{{- range .denyNetworks }}
- --deny-registry-network={{ . }}
{{- end }}
{{- if .hosts }}
- --registry-config=/etc/dockercoins-operator/certs.d
{{- end }}
{{- if .credentialProviders.config }}
- --credential-provider-config=/etc/dockercoins-operator/credential-providers/config.json
- --credential-provider-bin-dir=/opt/credential-providers
{{- end }}
{{- end }}
{{- if .Values.webhook.enabled }}
- --webhook-address={{ include "dockercoins-operator.address" (list . .Values.webhook.port) }}
- --webhook-secret-file=/etc/dockercoins-operator/webhook/secret
{{- end }}
{{- with .Values.otlp.endpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
- --log-format={{ .Values.log.format }}
{{- with .Values.log.level }}
- --log-level={{ . }}
{{- end }}
{{- end }}

{{- define "dockercoins-operator.address" -}}
{{- $address := (index . 0).Values.listenAddress }}
{{- if contains ":" $address }}{{ $address = printf "[%s]" $address }}{{ end }}
{{- printf "%s:%d" $address (int (index . 1)) }}
{{- end }}

{{- define "dockercoins-operator.env" -}}
{{- $set := dict "HTTP_PROXY" .Values.proxy.http "HTTPS_PROXY" .Values.proxy.https "NO_PROXY" .Values.proxy.none }}
{{- if .Values.registries.certificateAuthorities }}
{{- $_ := set $set "SSL_CERT_FILE" "/etc/dockercoins-operator/authorities/ca.crt" }}
{{- end }}
{{- range $name, $value := $set }}
{{- if $value }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "dockercoins-operator.mounts" -}}
{{- $index := 0 }}
{{- range $host, $_ := .Values.registries.hosts }}
- {name: host-{{ $index }}, mountPath: /etc/dockercoins-operator/certs.d/{{ include "dockercoins-operator.hostFolder" $host }}, readOnly: true}
{{- $index = add $index 1 }}
{{- end }}
{{- if .Values.registries.certificateAuthorities }}
- {name: authorities, mountPath: /etc/dockercoins-operator/authorities, readOnly: true}
{{- end }}
{{- if .Values.registries.credentialProviders.config }}
- {name: credential-providers, mountPath: /etc/dockercoins-operator/credential-providers, readOnly: true}
- {name: credential-provider-programs, mountPath: /opt/credential-providers, readOnly: true}
{{- end }}
{{- if .Values.webhook.enabled }}
- {name: webhook, mountPath: /etc/dockercoins-operator/webhook, readOnly: true}
{{- end }}
{{- end }}

{{- define "dockercoins-operator.volumes" -}}
{{- $fullname := include "dockercoins-operator.fullname" . }}
{{- $index := 0 }}
{{- range $host, $files := .Values.registries.hosts }}
- name: host-{{ $index }}
  projected:
    sources:
      {{- with $files.configMap }}
      - configMap: {name: {{ . }}}
      {{- end }}
      {{- with $files.secret }}
      - secret: {name: {{ . }}}
      {{- end }}
      {{- if $files.hostsToml }}
      - configMap:
          name: {{ $fullname }}-registries
          items: [{key: {{ include "dockercoins-operator.hostFolder" $host }}, path: hosts.toml}]
      {{- end }}
{{- $index = add $index 1 }}
{{- end }}
{{- with .Values.registries.certificateAuthorities }}
- name: authorities
  configMap: {name: {{ . }}}
{{- end }}
{{- if .Values.registries.credentialProviders.config }}
- name: credential-providers
  configMap:
    name: {{ $fullname }}-registries
    items: [{key: credential-providers, path: config.json}]
- name: credential-provider-programs
  {{- toYaml .Values.registries.credentialProviders.volume | nindent 2 }}
{{- end }}
{{- if .Values.webhook.enabled }}
- name: webhook
  secret: {secretName: {{ .Values.webhook.secret }}}
{{- end }}
{{- end }}

{{/* What Pod Security "restricted" requires. */}}
{{- define "dockercoins-operator.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.runAsUser }}
runAsUser: {{ int . }}
runAsGroup: {{ int . }}
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "dockercoins-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
