{{/*
Names. A release may be called almost anything (digits first, dots, 53 characters); a Service may not: RFC 1035, 63
characters. What is cut off is stood for by a hash, so that two long names stay two. Suffixes have 15 characters.
*/}}
{{- define "connector-cache.dns" -}}
{{- $name := regexReplaceAll "[^a-z0-9-]" (lower .) "-" | trimAll "-" -}}
{{- if not (regexMatch "^[a-z]" $name) }}{{ $name = printf "cc-%s" $name }}{{ end -}}
{{- if gt (len $name) 48 -}}
{{- printf "%s-%s" (trunc 39 $name | trimSuffix "-") (sha256sum . | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "connector-cache.name" -}}
{{- include "connector-cache.dns" (default .Chart.Name .Values.nameOverride) -}}
{{- end -}}

{{- define "connector-cache.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- include "connector-cache.dns" .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- include "connector-cache.dns" .Release.Name -}}
{{- else -}}
{{- include "connector-cache.dns" (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- end -}}

{{- define "connector-cache.serviceAccountName" -}}
{{- $name := ternary (include "connector-cache.fullname" .) "default" .Values.serviceAccount.create -}}
{{- default $name .Values.serviceAccount.name -}}
{{- end -}}

{{- define "connector-cache.selectorLabels" -}}
app.kubernetes.io/name: {{ include "connector-cache.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* Of the proxy's pods, which the test pods are not. */}}
{{- define "connector-cache.podSelector" -}}
{{ include "connector-cache.selectorLabels" . }}
app.kubernetes.io/component: proxy
{{- end -}}

{{- define "connector-cache.labels" -}}
{{- include "connector-cache.labelsAnd" (dict "root" . "labels" dict) -}}
{{- end -}}

{{/* Takes the chart's context as root, and more labels. The chart's own win, then those, then commonLabels. */}}
{{- define "connector-cache.labelsAnd" -}}
{{- $own := include "connector-cache.selectorLabels" .root | fromYaml -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" -}}
{{- $_ := set $own "helm.sh/chart" (trunc 63 $chart | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- toYaml (merge $own .labels .root.Values.commonLabels) -}}
{{- end -}}

{{/* Takes repository, tag, digest, and what the tag is otherwise. */}}
{{- define "connector-cache.image" -}}
{{- $image := .image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .tag $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "connector-cache.scheme" -}}
{{- ternary "https" "http" (not (empty .Values.tls.existingSecret)) -}}
{{- end -}}

{{/* As many pods as there are at least. */}}
{{- define "connector-cache.replicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- end -}}

{{/* Whether there is a budget. */}}
{{- define "connector-cache.hasBudget" -}}
{{- if and .Values.podDisruptionBudget.enabled (gt (include "connector-cache.replicas" . | int) 1) }}yes{{ end -}}
{{- end -}}

{{/* Whether the budget lets no pod go. */}}
{{- define "connector-cache.budgetHoldsAll" -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- $least := toString $budget.minAvailable -}}
{{- if include "connector-cache.hasBudget" . -}}
{{- if has $least (list "" "<nil>") -}}
{{- if has (toString $budget.maxUnavailable) (list "0" "0%") }}yes{{ end -}}
{{- else if or (eq $least "100%") (and (not (hasSuffix "%" $least)) (ge (int $least) (include "connector-cache.replicas" . | int))) -}}
yes
{{- end -}}
{{- end -}}
{{- end -}}
