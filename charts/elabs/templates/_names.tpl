{{- /* Names and labels. A release has one hub and one proxy; everything it owns is called after it. */ -}}

{{- define "elabs.labels" -}}
app.kubernetes.io/name: elabs
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{ include "elabs.selector" . }}
{{- end }}

{{- define "elabs.selector" -}}
component: {{ .component }}
release: {{ .root.Release.Name }}
{{- end }}

{{- /* Priority classes belong to the whole cluster, so the namespace is part of their names. */ -}}
{{- define "elabs.priority" -}}
{{ printf "%s-%s-%s" .root.Release.Namespace .root.Release.Name .of }}
{{- end }}

{{- define "elabs.hubImage" -}}
{{ printf "%s/hub:%s" .Values.kubernetes.images.repository .Values.kubernetes.images.tag }}
{{- end }}

{{- define "elabs.labImage" -}}
{{- $images := .root.Values.kubernetes.images -}}
{{ get ($images.labs | default dict) .name | default (printf "%s/lab-%s:%s" $images.repository .name $images.tag) }}
{{- end }}

{{- /* References of the images of all profiles, each once, as a JSON list. */ -}}
{{- define "elabs.labImages" -}}
{{- $root := . -}}
{{- $found := list -}}
{{- range $name, $profile := .Values.profiles | default (dict "default" dict) -}}
{{- $found = append $found (include "elabs.labImage" (dict "root" $root "name" ($profile.image | default $root.Values.image))) -}}
{{- end -}}
{{ $found | uniq | toJson }}
{{- end }}

{{- /* `login.method`, as the model has it where it is not given. */ -}}
{{- define "elabs.loginMethod" -}}
{{- $login := .Values.login | default dict -}}
{{ $login.method | default (ternary "ldap" (ternary "oauth" "demo" (not (empty $login.oauth))) (not (empty $login.ldap))) }}
{{- end }}

{{- /* The volume of files that settings name. */ -}}
{{- define "elabs.filesVolume" -}}
- name: files
  {{- if .Values.kubernetes.files }}
  secret: {secretName: {{ .Values.kubernetes.files }}, defaultMode: 0440}
  {{- else }}
  emptyDir: {sizeLimit: "4096"}
  {{- end }}
{{- end }}

{{- define "elabs.pullSecrets" -}}
{{- with .Values.kubernetes.images.pull_secrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Nodes: `selector`, and taints as kubectl writes them. */ -}}
{{- define "elabs.tolerations" -}}
{{- $found := list -}}
{{- range . -}}
{{- $parts := splitn ":" 2 . -}}
{{- $what := splitn "=" 2 $parts._0 -}}
{{- $one := ternary (dict "key" $what._0 "operator" "Equal" "value" ($what._1 | default "")) (dict "key" $what._0 "operator" "Exists") (contains "=" $parts._0) -}}
{{- with $parts._1 }}{{- $_ := set $one "effect" . -}}{{- end -}}
{{- $found = append $found $one -}}
{{- end -}}
{{ $found | toJson }}
{{- end }}

{{- define "elabs.nodes" -}}
{{- with .selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ include "elabs.tolerations" . }}
{{- end }}
{{- end }}

{{- /* What Pod Security calls "restricted". */ -}}
{{- define "elabs.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "elabs.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end }}
