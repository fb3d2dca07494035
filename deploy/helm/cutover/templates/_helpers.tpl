{{- define "cutover.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "cutover.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cutover.labels" -}}
{{ include "cutover.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "cutover.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "cutover.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "cutover.claim" -}}
{{- default (printf "%s-state" (include "cutover.fullname" .)) .Values.persistence.existingClaim -}}
{{- end -}}

{{- define "cutover.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}

{{- define "cutover.scheme" -}}
{{- ternary "https" "http" (ne .Values.tls.existingSecret "") -}}
{{- end -}}

{{- define "cutover.store" -}}
{{- .Values.store.url | default "sqlite:/var/lib/cutover/cutover.db" -}}
{{- end -}}

{{/* Where clients reach it: several controllers by the names of their pods. */}}
{{- define "cutover.servers" -}}
{{- $name := include "cutover.fullname" . -}}
{{- if .Values.store.url -}}
{{- $servers := list -}}
{{- range until (int .Values.replicas) -}}
{{- $servers = append $servers (printf "%s://%s-%d.%s-pods.%s:7070" (include "cutover.scheme" $) $name . $name $.Release.Namespace) -}}
{{- end -}}
{{- join "," $servers -}}
{{- else -}}
{{- printf "%s://%s.%s:%d" (include "cutover.scheme" .) $name .Release.Namespace (int .Values.service.grpcPort) -}}
{{- end -}}
{{- end -}}

{{/* Refuses values that would lose data or not start. */}}
{{- define "cutover.check" -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.store.url) -}}
{{- fail (printf "replicas is %d, but at most 1 controller can run: it keeps its state in one SQLite file, and a second one is refused. Several need store.url" (int .Values.replicas)) -}}
{{- end -}}
{{- if regexMatch "^[a-z]+:/*[^:@]*:.*@" .Values.store.url -}}
{{- fail "store.url has a password: put it into a secret, and name that in store.passwordSecret" -}}
{{- end -}}
{{- if and .Values.store.url .Values.firstToken -}}
{{- fail "firstToken writes to the controller's volume, and with store.url there is none: make the first token from your machine, with cutover token create --store" -}}
{{- end -}}
{{- if and .Values.store.url .Values.networkPolicy.enabled (not .Values.networkPolicy.egress) -}}
{{- fail "networkPolicy lets the controller reach nothing but DNS, so not its database either: add it to networkPolicy.egress" -}}
{{- end -}}
{{- if and .Values.store.url .Values.podDisruptionBudget.enabled -}}
{{- fail "podDisruptionBudget counts ready pods, and only the leader is ready: it would keep the leader's node from being drained for ever. Leave it off with store.url: README.md, Drains" -}}
{{- end -}}
{{- if and .Values.tls.requireClients (not .Values.tls.existingSecret) -}}
{{- fail "tls.requireClients needs the secret with the controller's certificate: set tls.existingSecret" -}}
{{- end -}}
{{- if not .Values.insecure -}}
{{- if not .Values.tls.existingSecret -}}
{{- fail "the controller does not listen on a pod's addresses without TLS: set tls.existingSecret, or put a mesh or a proxy with TLS in front and set insecure=true" -}}
{{- end -}}
{{- if not (or .Values.requireTokens .Values.tls.requireClients) -}}
{{- fail "TLS alone keeps nobody out: set requireTokens=true or tls.requireClients=true, or insecure=true if everybody who reaches the ports may do everything" -}}
{{- end -}}
{{- end -}}
{{- range .Values.webhookSecrets.names -}}
{{- if not (hasKey $.Values.config.webhooks .) -}}
{{- fail (printf "webhookSecrets.names has %q, but config.webhooks has no webhook of this name" .) -}}
{{- end -}}
{{- if not $.Values.webhookSecrets.existingSecret -}}
{{- fail (printf "webhookSecrets.names has %q: set webhookSecrets.existingSecret, the secret that holds it" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
