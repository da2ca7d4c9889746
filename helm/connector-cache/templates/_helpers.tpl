{{/*
Names. The name of a release may begin with a digit, contain dots, and have 53 characters. The name of a Service follows
RFC 1035 and has at most 63 characters. A hash replaces the part that is cut off, so that two long names stay different.
Suffixes have 15 characters.
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

{{/* Labels that select the pods of the proxy, and no test pods. */}}
{{- define "connector-cache.podSelector" -}}
{{ include "connector-cache.selectorLabels" . }}
app.kubernetes.io/component: proxy
{{- end -}}

{{- define "connector-cache.labels" -}}
{{- include "connector-cache.labelsAnd" (dict "root" . "labels" dict) -}}
{{- end -}}

{{/* Arguments: the context of the chart as root, and further labels. Labels of the chart take precedence, then these, then commonLabels. */}}
{{- define "connector-cache.labelsAnd" -}}
{{- $own := include "connector-cache.selectorLabels" .root | fromYaml -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" -}}
{{- $_ := set $own "helm.sh/chart" (trunc 63 $chart | trimSuffix "-") -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- toYaml (merge $own .labels .root.Values.commonLabels) -}}
{{- end -}}

{{/* Arguments: repository, tag, digest, and the default tag. */}}
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

{{/* Minimum number of pods. */}}
{{- define "connector-cache.replicas" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicaCount .Values.autoscaling.enabled -}}
{{- end -}}

{{/* Whether a PodDisruptionBudget is created. */}}
{{- define "connector-cache.hasBudget" -}}
{{- if and .Values.podDisruptionBudget.enabled (gt (include "connector-cache.replicas" . | int) 1) }}yes{{ end -}}
{{- end -}}

{{/* Whether the PodDisruptionBudget allows no pod to be unavailable. */}}
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
