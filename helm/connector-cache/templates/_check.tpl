{{/* Bounds of the durations and sizes of `config`. The schema has the bounds of numbers. A pod with other values would not start. */}}
{{- define "connector-cache.bounds" -}}
limits.header_bytes: [8KiB, 1MiB]
limits.target_bytes: [1KiB, 32KiB]
limits.tls_timeout: [1ms, 1m]
limits.header_timeout: [1ms, 5m]
limits.idle_timeout: [1ms, 1h]
limits.write_timeout: [1ms, 10m]
limits.request_timeout: [1ms, 10m]
limits.follower_wait: [1ms, 10m]
limits.waiting_bytes: [1MiB, 1TiB]
limits.bytes_in_flight: [1MiB, 1TiB]
drain.delay: [0s, 10m]
drain.timeout: [1ms, 1h]
graph.connect_timeout: [1ms, 1m]
graph.first_byte_timeout: [1ms, 10m]
graph.timeout: [1ms, 10m]
graph.max_body: [1KiB, 16MiB]
cache.ttl: [1ms, 24h]
cache.proof_ttl: [1ms, 1h]
cache.stale_while_revalidate: [0s, 24h]
cache.stale_if_error: [0s, 24h]
cache.max_bytes: [1MiB, 1TiB]
cache.keep: [1ms, 48h]
{{- end -}}

{{- define "connector-cache.checkBounds" -}}
{{- range $key, $bounds := include "connector-cache.bounds" . | fromYaml -}}
{{- $path := splitList "." $key -}}
{{- $value := dig (first $path) (last $path) "" $.Values.config -}}
{{- $reader := printf "connector-cache.%s" (ternary "bytes" "milliseconds" (hasSuffix "B" (first $bounds))) -}}
{{- if not (empty (toString $value)) -}}
{{- $number := include $reader $value | int64 -}}
{{- if or (lt $number (include $reader (first $bounds) | int64)) (gt $number (include $reader (last $bounds) | int64)) -}}
{{- printf "config.%s is %v: expected %s to %s" $key $value (first $bounds) (last $bounds) | fail -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- /* Where the values say nothing, the binary has these. */ -}}
{{- $connect := default "2s" .Values.config.graph.connect_timeout -}}
{{- $whole := default "10s" .Values.config.graph.timeout -}}
{{- if gt (include "connector-cache.milliseconds" $connect | int64) (include "connector-cache.milliseconds" $whole | int64) -}}
{{- printf "config.graph.connect_timeout is %s: expected at most config.graph.timeout (%s)" $connect $whole | fail -}}
{{- end -}}
{{- end -}}

{{/* Rules about two values, which the schema cannot express. */}}
{{- define "connector-cache.check" -}}
{{- include "connector-cache.checkBounds" . -}}
{{- $drain := .Values.config.drain -}}
{{- $delay := include "connector-cache.milliseconds" $drain.delay | int64 -}}
{{- $timeout := include "connector-cache.milliseconds" $drain.timeout | int64 -}}
{{- $grace := int64 .Values.terminationGracePeriodSeconds -}}
{{- /* Behind the drain come last refreshes, spans, scrapes, tasks and log lines: a second each at the most. */ -}}
{{- if lt (mul 1000 $grace) (add $delay $timeout 5000) -}}
{{- printf "terminationGracePeriodSeconds is %d: expected at least 5 more than config.drain.delay (%s) and config.drain.timeout (%s) together, otherwise pods are killed while they drain"
  $grace $drain.delay $drain.timeout | fail -}}
{{- end -}}
{{- with dig "limits" "memory" "" (default dict .Values.resources) -}}
{{- $max := $.Values.config.cache.max_bytes -}}
{{- $bytes := include "connector-cache.bytes" $max | int64 -}}
{{- $limit := include "connector-cache.bytes" . | int64 -}}
{{- /* Measured: what is kept takes a tenth more than it weighs, and the process 26 MiB beside it. */}}
{{- if or (gt (mul 4 $bytes) (mul 3 $limit)) (gt (add $bytes 41943040) $limit) -}}
{{- printf "config.cache.max_bytes is %v: expected at most three quarters of resources.limits.memory (%v), and at least 40 MiB less than it, otherwise pods are killed when the cache is full"
  $max . | fail -}}
{{- end -}}
{{- end -}}
{{- $ports := .Values.containerPorts -}}
{{- if eq (int $ports.data) (int $ports.admin) -}}
{{- printf "containerPorts.data and containerPorts.admin are both %d: expected two different ports" (int $ports.data) | fail -}}
{{- end -}}
{{- if and .Values.tls.clientCaKey (not .Values.tls.existingSecret) -}}
{{- fail "tls.clientCaKey is set without tls.existingSecret: client certificates require TLS: set tls.existingSecret" -}}
{{- end -}}
{{- $shared := .Values.shared -}}
{{- if and $shared.url (not $shared.existingSecret) -}}
{{- fail "shared.url is set without shared.existingSecret: expected a Secret with the key of shared.secretKey, at least 32 bytes" -}}
{{- end -}}
{{- if ne (empty $shared.certificateKey) (empty $shared.privateKeyKey) -}}
{{- fail "shared.certificateKey and shared.privateKeyKey belong together: expected both or none" -}}
{{- end -}}
{{- if and (hasPrefix "redis:" $shared.url | or (hasPrefix "redis+" $shared.url)) (or $shared.caKey $shared.certificateKey) -}}
{{- printf "shared.url is %s, without TLS, but shared.caKey or shared.certificateKey is set: expected rediss instead of redis" $shared.url | fail -}}
{{- end -}}
{{- $scale := .Values.autoscaling -}}
{{- if and $scale.enabled (gt (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- printf "autoscaling.minReplicas is %d: expected at most autoscaling.maxReplicas (%d)"
  (int $scale.minReplicas) (int $scale.maxReplicas) | fail -}}
{{- end -}}
{{- $scrape := .Values.serviceMonitor -}}
{{- if and $scrape.enabled $scrape.interval $scrape.scrapeTimeout -}}
{{- if gt (include "connector-cache.milliseconds" $scrape.scrapeTimeout | int64) (include "connector-cache.milliseconds" $scrape.interval | int64) -}}
{{- printf "serviceMonitor.scrapeTimeout is %s: expected at most serviceMonitor.interval (%s), otherwise the operator refuses the monitor"
  $scrape.scrapeTimeout $scrape.interval | fail -}}
{{- end -}}
{{- end -}}
{{- $pod := default dict .Values.podSecurityContext -}}
{{- $own := default dict .Values.securityContext -}}
{{- /* Not by merge: to it a 0 is nothing. */ -}}
{{- $user := ternary $own.runAsUser $pod.runAsUser (hasKey $own "runAsUser") -}}
{{- if and (ternary $own.runAsNonRoot $pod.runAsNonRoot (hasKey $own "runAsNonRoot")) (eq (toString $user) "0") -}}
{{- fail "runAsUser is 0 but runAsNonRoot is true (podSecurityContext, securityContext): no pod would start" -}}
{{- end -}}
{{- $rolling := default dict (default dict .Values.strategy).rollingUpdate -}}
{{- $none := list "0" "0%" -}}
{{- if and (has (toString $rolling.maxSurge) $none) (has (toString $rolling.maxUnavailable) $none) -}}
{{- fail "strategy.rollingUpdate.maxSurge and maxUnavailable are both 0: no pod could be replaced" -}}
{{- end -}}
{{- include "connector-cache.checkRequests" (dict "of" "resources" "resources" .Values.resources) -}}
{{- include "connector-cache.checkRequests" (dict "of" "tests.resources" "resources" .Values.tests.resources) -}}
{{- include "connector-cache.checkLists" . -}}
{{- end -}}

{{/* Kubernetes refuses a pod whose requests exceed its limits. */}}
{{- define "connector-cache.checkRequests" -}}
{{- $limits := default dict (default dict .resources).limits -}}
{{- range $name, $request := (default dict .resources).requests -}}
{{- $limit := get $limits $name -}}
{{- if not (has (toString $limit) (list "" "<nil>")) -}}
{{- if gt (include "connector-cache.quantity" $request | float64) (include "connector-cache.quantity" $limit | float64) -}}
{{- printf "%s.requests.%s is %v: expected at most %s.limits.%s (%v)" $.of $name $request $.of $name $limit | fail -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Lists that are added to those of the chart, or whose members must differ. */}}
{{- define "connector-cache.checkLists" -}}
{{- $names := list -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "CONNECTOR_CACHE__LISTEN__ADDRESS" "CONNECTOR_CACHE__ADMIN__ADDRESS") -}}
{{- printf "extraEnv has %s: expected listenFamily and containerPorts instead, which Services and probes use too" .name | fail -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- include "connector-cache.checkTwice" (dict "of" "extraEnv" "names" $names) -}}
{{- $names = list -}}
{{- range .Values.imagePullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{- include "connector-cache.checkTwice" (dict "of" "imagePullSecrets" "names" $names) -}}
{{- $names = list -}}
{{- range .Values.topologySpreadConstraints }}{{ $names = append $names (printf "%s %s" .topologyKey .whenUnsatisfiable) }}{{ end -}}
{{- include "connector-cache.checkTwice" (dict "of" "topologySpreadConstraints" "names" $names) -}}
{{- $names = list -}}
{{- range (.Files.Get "files/rules.yaml" | fromYaml).groups }}{{ $names = append $names .name }}{{ end -}}
{{- range .Values.prometheusRule.extraGroups }}{{ $names = append $names .name }}{{ end -}}
{{- include "connector-cache.checkTwice" (dict "of" "prometheusRule.extraGroups" "names" $names) -}}
{{- $volumes := list "config" -}}
{{- if .Values.tls.existingSecret }}{{ $volumes = append $volumes "tls" }}{{ end -}}
{{- if .Values.admin.existingSecret }}{{ $volumes = append $volumes "admin" }}{{ end -}}
{{- if .Values.shared.url }}{{ $volumes = append $volumes "shared" }}{{ end -}}
{{- $paths := list -}}
{{- range $volumes }}{{ $paths = append $paths (printf "/etc/connector-cache/%s" .) }}{{ end -}}
{{- range .Values.extraVolumes }}{{ $volumes = append $volumes .name }}{{ end -}}
{{- include "connector-cache.checkTwice" (dict "of" "extraVolumes" "names" $volumes) -}}
{{- range .Values.extraVolumeMounts -}}
{{- if not (has .name $volumes) -}}
{{- printf "extraVolumeMounts has %s, but no volume has this name: expected one of %s" .name (join ", " $volumes) | fail -}}
{{- end -}}
{{- $paths = append $paths (trimSuffix "/" .mountPath) -}}
{{- end -}}
{{- include "connector-cache.checkTwice" (dict "of" "extraVolumeMounts" "names" $paths) -}}
{{- end -}}

{{- define "connector-cache.checkTwice" -}}
{{- $seen := list -}}
{{- range .names -}}
{{- if has . $seen }}{{ printf "%s has %s twice, including the chart's own: expected each once" $.of . | fail }}{{ end -}}
{{- $seen = append $seen . -}}
{{- end -}}
{{- end -}}

{{/* Memory of an active connection in KiB, measured in docs/performance.md; an idle one needs 3, and 18 with TLS. */}}
{{- define "connector-cache.connection" -}}
{{- ternary 44 36 (not (empty .Values.tls.existingSecret)) -}}
{{- end -}}

{{/* Memory of a pod when all its limits are reached at the same time, in bytes: cache, bytes in flight, waiting requests,
all connections active, and 32 MiB for the process itself. */}}
{{- define "connector-cache.most" -}}
{{- $limits := default dict .Values.config.limits -}}
{{- $kept := include "connector-cache.bytes" .Values.config.cache.max_bytes | int64 -}}
{{- $flying := include "connector-cache.bytes" (default "64MiB" $limits.bytes_in_flight) | int64 -}}
{{- $waiting := include "connector-cache.bytes" (default "64MiB" $limits.waiting_bytes) | int64 -}}
{{- $connected := mul 1024 (include "connector-cache.connection" . | int64) (default 10000 $limits.connections | int64) -}}
{{- add $kept $flying $waiting $connected 33554432 -}}
{{- end -}}
