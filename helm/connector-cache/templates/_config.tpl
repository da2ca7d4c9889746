{{- define "connector-cache.baseUrl" -}}
{{- $clouds := dict
  "global" "https://graph.microsoft.com"
  "usgov-l4" "https://graph.microsoft.us"
  "usgov-l5" "https://dod-graph.microsoft.us"
  "china" "https://microsoftgraph.chinacloudapi.cn" -}}
{{- default (get $clouds .Values.cloud) .Values.config.graph.base_url -}}
{{- end -}}

{{- define "connector-cache.graphPort" -}}
{{- $url := include "connector-cache.baseUrl" . -}}
{{- $port := regexFind ":[0-9]+$" $url | trimPrefix ":" -}}
{{- default (ternary "80" "443" (hasPrefix "http:" $url)) $port -}}
{{- end -}}

{{/* Port of the collector's pods. Without an endpoint, the standard port of OTLP over HTTP. */}}
{{- define "connector-cache.otlpPort" -}}
{{- $url := default "http://collector:4318" .Values.config.telemetry.otlp_endpoint -}}
{{- $own := regexFind ":[0-9]+$" (regexFind "^https?://[^/]+" $url) | trimPrefix ":" -}}
{{- default (default (ternary "443" "80" (hasPrefix "https:" $url)) $own) (toString .Values.networkPolicy.otlp.port) -}}
{{- end -}}

{{/* Ports of the store, as a list: those of its URL. A Sentinel names servers, which have the standard port. */}}
{{- define "connector-cache.sharedPorts" -}}
{{- $url := .Values.shared.url -}}
{{- $isSentinel := contains "+sentinel:" $url -}}
{{- $ports := list -}}
{{- range splitList "," (regexReplaceAll "/[^,/]*$" (regexReplaceAll "rediss?([+][a-z]+)?://" $url "") "") -}}
{{- $ports = append $ports (regexFind ":[0-9]+$" (trimSuffix "/" .) | trimPrefix ":" | default (ternary "26379" "6379" $isSentinel) | int) -}}
{{- end -}}
{{- if $isSentinel }}{{ $ports = append $ports 6379 }}{{ end -}}
{{- default (uniq $ports) .Values.networkPolicy.shared.ports | toJson -}}
{{- end -}}

{{/* The section `shared` of the configuration. */}}
{{- define "connector-cache.shared" -}}
{{- $shared := .Values.shared -}}
{{- $section := dict "url" $shared.url "username" $shared.username "timeout" $shared.timeout -}}
{{- $_ := set $section "max_value" $shared.maxValue -}}
{{- $_ := set $section "prefix" $shared.prefix -}}
{{- $_ := set $section "secret_file" "/etc/connector-cache/shared/secret" -}}
{{- range $key, $file := dict "password_file" "password" "ca_file" "ca.crt" "certificate" "tls.crt" "key" "tls.key" -}}
{{- $name := get (dict "password" $shared.passwordKey "ca.crt" $shared.caKey "tls.crt" $shared.certificateKey "tls.key" $shared.privateKeyKey) $file -}}
{{- if $name }}{{ $_ := set $section $key (printf "/etc/connector-cache/shared/%s" $file) }}{{ end -}}
{{- end -}}
{{- toJson $section -}}
{{- end -}}

{{/* A value as TOML. Numbers arrive as floats, which the proxy would refuse; strings and lists of JSON are valid TOML. */}}
{{- define "connector-cache.toml" -}}
{{- if or (kindIs "string" .) (kindIs "slice" .) }}{{ toJson . }}{{ else }}{{ int64 . }}{{ end -}}
{{- end -}}

{{- define "connector-cache.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $_ := set $config.graph "base_url" (include "connector-cache.baseUrl" .) -}}
{{- with .Values.admin.existingSecret -}}
{{- $_ := set $config "admin" (dict "token_file" "/etc/connector-cache/admin/token") -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $tls := dict "certificate" "/etc/connector-cache/tls/tls.crt" "key" "/etc/connector-cache/tls/tls.key" -}}
{{- if .Values.tls.clientCaKey }}{{ $_ := set $tls "client_ca" "/etc/connector-cache/tls/ca.crt" }}{{ end -}}
{{- $_ := set $config "listen.tls" $tls -}}
{{- end -}}
{{- if .Values.shared.url }}{{ $_ := set $config "shared" (include "connector-cache.shared" . | fromJson) }}{{ end -}}
# Rendered from the chart's values. The addresses are variables of the container: the image sets them, too.
{{- range $section := keys $config | sortAlpha }}
{{- $lines := list }}
{{- range $key, $value := get $config $section }}
{{- if not (or (kindIs "invalid" $value) (and (kindIs "string" $value) (empty $value))) }}
{{- $lines = append $lines (printf "%s = %s" $key (include "connector-cache.toml" $value)) }}
{{- end }}
{{- end }}
{{- if $lines }}

[{{ $section }}]
{{ join "\n" $lines }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A duration such as "1m 15s", in milliseconds. */}}
{{- define "connector-cache.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+ *(ms|s|m|h)" . -1 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $sum = add $sum (mul (regexFind "[0-9]+" . | int64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* A size such as 64MiB, 256Mi, 1G, 1e9 or 1048576, in bytes: a quantity of Kubernetes or a size of the proxy. */}}
{{- define "connector-cache.bytes" -}}
{{- include "connector-cache.quantity" . | float64 | int64 -}}
{{- end -}}

{{/* The same with fractions, for CPUs. */}}
{{- define "connector-cache.quantity" -}}
{{- $units := dict "" 1 "m" 0.001 "K" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "P" 1000000000000000
  "E" 1000000000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624
  "Ei" 1152921504606846976 -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9.]+([eE][+-]?[0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text | trim | trimSuffix "B" | replace "k" "K" -}}
{{- mulf (float64 $number) (get $units $unit) -}}
{{- end -}}
