{{/* What the schema cannot say, because it is about two values. */}}
{{- define "connector-cache.check" -}}
{{- $drain := .Values.config.drain -}}
{{- $delay := include "connector-cache.milliseconds" $drain.delay | int64 -}}
{{- $timeout := include "connector-cache.milliseconds" $drain.timeout | int64 -}}
{{- $grace := int64 .Values.terminationGracePeriodSeconds -}}
{{- /* Behind the drain come last refreshes, spans, scrapes, tasks and log lines: a second each at the most. */ -}}
{{- if lt (mul 1000 $grace) (add $delay $timeout 5000) -}}
{{- printf "terminationGracePeriodSeconds is %d: it must be 5 more than config.drain.delay (%s) and config.drain.timeout (%s) together, or pods are killed while they drain"
  $grace $drain.delay $drain.timeout | fail -}}
{{- end -}}
{{- with dig "limits" "memory" "" (default dict .Values.resources) -}}
{{- $max := $.Values.config.cache.max_bytes -}}
{{- if gt (include "connector-cache.bytes" $max | int64 | mul 4) (include "connector-cache.bytes" . | int64 | mul 3) -}}
{{- printf "config.cache.max_bytes is %v: it may be three quarters of resources.limits.memory (%v) at most, or pods are killed when the cache is full"
  $max . | fail -}}
{{- end -}}
{{- end -}}
{{- $ports := .Values.containerPorts -}}
{{- if eq (int $ports.data) (int $ports.admin) -}}
{{- printf "containerPorts.data and containerPorts.admin are both %d: expected two different ports" (int $ports.data) | fail -}}
{{- end -}}
{{- if and .Values.tls.clientCaKey (not .Values.tls.existingSecret) -}}
{{- fail "tls.clientCaKey is set without tls.existingSecret: callers can show a certificate under TLS only" -}}
{{- end -}}
{{- $scale := .Values.autoscaling -}}
{{- if and $scale.enabled (gt (int $scale.minReplicas) (int $scale.maxReplicas)) -}}
{{- printf "autoscaling.minReplicas is %d: it may be autoscaling.maxReplicas (%d) at most"
  (int $scale.minReplicas) (int $scale.maxReplicas) | fail -}}
{{- end -}}
{{- end -}}
