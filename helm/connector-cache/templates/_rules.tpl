{{/* Job of the scrapes: the full name, which is unique in a namespace. The ServiceMonitor sets it. */}}
{{- define "connector-cache.job" -}}
{{- default (include "connector-cache.fullname" .) .Values.prometheusRule.job -}}
{{- end -}}

{{/* Expression of a rule with the namespace, the job and the thresholds of this release. Arguments: root, expr. */}}
{{- define "connector-cache.expression" -}}
{{- $job := include "connector-cache.job" .root -}}
{{- $expr := replace `namespace=~".*",job=~".*"` (printf "namespace=%q,job=%q" .root.Release.Namespace $job) .expr -}}
{{- range $name, $value := .root.Values.prometheusRule.thresholds -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $expr = regexReplaceAll (printf "[0-9.]+( # %s\n)" $name) $expr (printf "%v${1}" $value) -}}
{{- end -}}
{{- end -}}
{{- $expr -}}
{{- end -}}

{{/* Labels of an alert. Arguments: root, rule. Labels of the alert in the values take precedence, then those for all
alerts, then the severity of the values, then that of the rule. */}}
{{- define "connector-cache.alertLabels" -}}
{{- $values := .root.Values.prometheusRule -}}
{{- $own := default dict (get (default dict $values.alerts) .rule.alert) -}}
{{- $severity := dict "severity" (default .rule.labels.severity $own.severity) -}}
{{- toYaml (merge dict (default dict $own.labels) (default dict $values.alertLabels) $severity) -}}
{{- end -}}

{{/* Annotations of an alert, with the links of the values. Arguments: root, rule. */}}
{{- define "connector-cache.alertAnnotations" -}}
{{- $values := .root.Values.prometheusRule -}}
{{- $annotations := deepCopy .rule.annotations -}}
{{- with $values.runbookUrl }}{{ $_ := set $annotations "runbook_url" (printf "%s#%s" . (lower $.rule.alert)) }}{{ end -}}
{{- with $values.dashboardUrl -}}
{{- $variables := printf "var-namespace=%s&var-job=%s" $.root.Release.Namespace (include "connector-cache.job" $.root) -}}
{{- $_ := set $annotations "dashboard_url" (printf "%s%s%s" . (ternary "&" "?" (contains "?" .)) $variables) -}}
{{- end -}}
{{- toYaml $annotations -}}
{{- end -}}
