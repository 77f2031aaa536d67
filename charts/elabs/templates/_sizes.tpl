{{- /* Sizes as people write them -> plain bytes, since Kubernetes reads `4G` as another size than elabs does. Durations are never read here: the hub does. */ -}}

{{- define "elabs.bytes" -}}
{{- if kindIs "string" . -}}
{{- $number := regexFind "[0-9]+(\\.[0-9]+)?" . | float64 -}}
{{- $unit := regexFind "[kmgt]" (lower .) -}}
{{- $factor := get (dict "" 1 "k" 1024 "m" 1048576 "g" 1073741824 "t" 1099511627776) $unit -}}
{{ mulf $number $factor | int64 }}
{{- else -}}
{{ int64 . }}
{{- end -}}
{{- end }}

{{- /* The profile that headroom is kept for: the first, by `order` and then by name. */ -}}
{{- define "elabs.firstProfile" -}}
{{- $best := "" -}}
{{- $order := 0 -}}
{{- range $name, $profile := .Values.profiles | default dict -}}
{{- $own := int ($profile.order | default 0) -}}
{{- if or (not $best) (lt $own $order) -}}
{{- $best = $name -}}
{{- $order = $own -}}
{{- end -}}
{{- end -}}
{{ $best }}
{{- end }}

{{- /* What a lab of the first profile sets aside on its node, as a container's requests. */ -}}
{{- define "elabs.firstRequests" -}}
{{- $profile := get (.Values.profiles | default dict) (include "elabs.firstProfile" .) | default dict -}}
{{- $size := get .Values.sizes ($profile.size | default "medium") -}}
{{- $memory := include "elabs.bytes" ($size.memory | default "2G") | int64 -}}
{{- $aside := ternary (include "elabs.bytes" ($size.memory_request | default 0) | int64) (div $memory 2) (hasKey $size "memory_request") -}}
{{- $cpu := $size.cpu_request | default (round (divf ($size.cpu | default 2.0) 4) 3) -}}
{{- $requests := dict "memory" (toString $aside) "cpu" (toString $cpu) -}}
{{- range $name, $count := $size.resources | default dict -}}
{{- $_ := set $requests $name (toString $count) -}}
{{- end -}}
{{ $requests | toJson }}
{{- end }}
