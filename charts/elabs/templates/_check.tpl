{{- /*
What the schema cannot say: settings that do not go together, with the words that `elabs config check --for kubernetes` has for them. Helm stops at the first
one, before anything is applied.
*/ -}}

{{- define "elabs.check" -}}
{{- $v := .Values -}}
{{- $login := $v.login | default dict -}}
{{- $method := include "elabs.loginMethod" . -}}
{{- $ldap := $login.ldap | default dict -}}
{{- $groups := or $ldap.group_base $ldap.search_base -}}
{{- if eq $method "pam" }}{{ fail "login.method: is pam, but a cluster has no accounts of its own; use ldap or oauth" }}{{ end -}}
{{- if and (eq $method "ldap") (empty $ldap) }}{{ fail "login.method: is ldap, but login.ldap is missing" }}{{ end -}}
{{- if and (eq $method "oauth") (empty $login.oauth) }}{{ fail "login.method: is oauth, but login.oauth is missing" }}{{ end -}}
{{- if and $login.ldap $login.oauth (not $login.method) }}{{ fail "login.oauth: login.ldap is given too; say which is in force with login.method" }}{{ end -}}
{{- with $login.ldap -}}
{{- if not (or .bind_template .search_base) }}{{ fail "login.ldap: needs bind_template or search_base" }}{{ end -}}
{{- if and .search_user (not .search_password_file) }}{{ fail "login.ldap.search_user: needs search_password_file beside it" }}{{ end -}}
{{- if and .search_password_file (not .search_user) }}{{ fail "login.ldap.search_password_file: needs search_user beside it" }}{{ end -}}
{{- range $name := list "allowed_group" "admin_group" -}}
{{- if and (get $ldap $name) (not $groups) }}{{ fail (printf "login.ldap.%s: needs group_base, or search_base, to find groups in" $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (hasKey $v "profiles") (empty $v.profiles) }}{{ fail "profiles: give one profile at least, or remove the line" }}{{ end -}}
{{- range $name, $profile := $v.profiles | default dict -}}
{{- $size := $profile.size | default "medium" -}}
{{- if not (hasKey $v.sizes $size) }}{{ fail (printf "profiles.%s.size: '%s' is not one of sizes: %s" $name $size (keys $v.sizes | sortAlpha | join ", ")) }}{{ end -}}
{{- if $profile.groups -}}
{{- if eq $method "demo" }}{{ fail (printf "profiles.%s.groups: login.method is demo, which has no groups; nobody could pick this profile" $name) }}{{ end -}}
{{- if and (eq $method "ldap") (not $groups) }}{{ fail (printf "profiles.%s.groups: login.ldap needs group_base, or search_base, to find groups in" $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $name, $size := $v.sizes -}}
{{- $memory := include "elabs.bytes" ($size.memory | default "2G") | int64 -}}
{{- range $setting := list "tmp" "memory_request" -}}
{{- if and (hasKey $size $setting) (gt (include "elabs.bytes" (get $size $setting) | int64) $memory) }}{{ fail (printf "sizes.%s.%s: is more than the lab's memory" $name $setting) }}{{ end -}}
{{- end -}}
{{- if and (hasKey $size "cpu_request") (gt (float64 $size.cpu_request) (float64 ($size.cpu | default 2))) }}{{ fail (printf "sizes.%s.cpu_request: is more than the lab's cpu" $name) }}{{ end -}}
{{- end -}}
{{- $files := list -}}
{{- with (($v.site | default dict).tls) }}{{ $files = concat $files (list "site.tls.certificate" "site.tls.key") }}{{ end -}}
{{- if $ldap.ca }}{{ $files = append $files "login.ldap.ca" }}{{ end -}}
{{- if $ldap.search_password_file }}{{ $files = append $files "login.ldap.search_password_file" }}{{ end -}}
{{- if ($login.oauth | default dict).client_secret_file }}{{ $files = append $files "login.oauth.client_secret_file" }}{{ end -}}
{{- if $v.kubernetes.ca }}{{ $files = append $files "kubernetes.ca" }}{{ end -}}
{{- if ($v.hub | default dict).snippets }}{{ $files = append $files "hub.snippets" }}{{ end -}}
{{- if and $files (not $v.kubernetes.files) }}{{ fail (printf "%s: names a file, and kubernetes.files no secret that holds it" (first $files)) }}{{ end -}}
{{- $url := ($v.site | default dict).url -}}
{{- range $name := list "ingress" "gateway" -}}
{{- if and (get $v.kubernetes $name) (not $url) }}{{ fail (printf "kubernetes.%s: needs site.url, the name that people type" $name) }}{{ end -}}
{{- end -}}
{{- if and $v.clusters (not $url) }}{{ fail "clusters: needs site.url: labs in other clusters reach the hub by it" }}{{ end -}}
{{- if and $v.clusters (not (hasPrefix "https://" $url)) }}{{ fail "site.url: labs in other clusters reach the hub by it, and their tokens would be read on the way; write https://NAME" }}{{ end -}}
{{- if $v.kubernetes.outpost -}}
{{- if $v.clusters }}{{ fail "clusters: kubernetes.outpost is given: an outpost has no hub that could use other clusters" }}{{ end -}}
{{- if not ($v.site | default dict).tls }}{{ fail "kubernetes.outpost: needs site.tls: what people and labs say to each other comes over the public address" }}{{ end -}}
{{- range $name := list "ingress" "gateway" -}}
{{- if get $v.kubernetes $name }}{{ fail (printf "kubernetes.%s: an outpost is asked by the name of the hub's site, which no rule for a name lets through; use kubernetes.service" $name) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and $v.kubernetes.ingress $v.kubernetes.gateway }}{{ fail "kubernetes.gateway: kubernetes.ingress is given too; give one of them" }}{{ end -}}
{{- end }}
