{{- define "whorl.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "whorl.labels" -}}
app.kubernetes.io/name: whorl
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: whorl
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The nodes that get a certificate: those the cluster has now and those named. */}}
{{- define "whorl.nodes" -}}
{{- $nodes := .Values.nodes -}}
{{- range (lookup "v1" "Node" "" "").items -}}
{{- $nodes = append $nodes .metadata.name -}}
{{- end -}}
{{- $nodes | uniq | sortAlpha | join "," -}}
{{- end -}}

{{/*
All certificates, made once per rendering, as JSON: base64 texts under
ca.crt, ca.key, controller.crt, controller.key, issued, agents.<node>.{crt,key}.
What the cluster already holds is kept, unless it is past half its life.
*/}}
{{- define "whorl.certificates" -}}
{{- $days := int .Values.tls.validityDays -}}
{{- $now := now | unixEpoch | int64 -}}
{{- $old := lookup "v1" "Secret" .Release.Namespace "whorl-ca" -}}
{{- $oldController := lookup "v1" "Secret" .Release.Namespace "whorl-controller-tls" -}}
{{- $oldAgents := lookup "v1" "Secret" .Release.Namespace "whorl-agent-tls" -}}
{{- $kept := and $old $oldController $oldAgents -}}
{{- $issued := $now -}}
{{- if $kept -}}
  {{- $issued = dig "metadata" "annotations" "whorl.dev/issued" "0" $old | int64 -}}
  {{- if gt (sub $now $issued) (mul $days 43200) -}}
    {{- $kept = false -}}
    {{- $issued = $now -}}
  {{- end -}}
{{- end -}}
{{- $ca := dict -}}
{{- $out := dict "issued" (toString $issued) "agents" dict -}}
{{- if $kept -}}
  {{- $ca = buildCustomCert (index $old.data "tls.crt") (index $old.data "tls.key") -}}
  {{- $_ := set $out "controller" (dict "crt" (index $oldController.data "tls.crt") "key" (index $oldController.data "tls.key")) -}}
{{- else -}}
  {{- $ca = genCAWithKey "whorl" $days (genPrivateKey "ecdsa") -}}
  {{- $pair := genSignedCertWithKey "controller.whorl" nil (list "controller.whorl") $days $ca (genPrivateKey "ecdsa") -}}
  {{- $_ := set $out "controller" (dict "crt" ($pair.Cert | b64enc) "key" ($pair.Key | b64enc)) -}}
{{- end -}}
{{- $_ := set $out "ca" (dict "crt" ($ca.Cert | b64enc) "key" ($ca.Key | b64enc)) -}}
{{- range $node := splitList "," (include "whorl.nodes" .) -}}
  {{- if $node -}}
    {{- $crt := "" -}}
    {{- $key := "" -}}
    {{- if $kept -}}
      {{- $crt = dig (printf "%s.crt" $node) "" $oldAgents.data -}}
      {{- $key = dig (printf "%s.key" $node) "" $oldAgents.data -}}
    {{- end -}}
    {{- if not (and $crt $key) -}}
      {{- $name := printf "agent.%s.whorl" $node -}}
      {{- $pair := genSignedCertWithKey ($name | trunc 64) nil (list $name) $days $ca (genPrivateKey "ecdsa") -}}
      {{- $crt = $pair.Cert | b64enc -}}
      {{- $key = $pair.Key | b64enc -}}
    {{- end -}}
    {{- $_ := set $out.agents $node (dict "crt" $crt "key" $key) -}}
  {{- end -}}
{{- end -}}
{{- $out | toJson -}}
{{- end -}}

{{/* Kept for good once it is there: a new one would discard every baseline learnt. */}}
{{- define "whorl.checkpointKey" -}}
{{- $old := lookup "v1" "Secret" .Release.Namespace "whorl-checkpoint-key" -}}
{{- if $old -}}
{{ index $old.data "key" }}
{{- else -}}
{{ randBytes 32 | b64enc }}
{{- end -}}
{{- end -}}
