{{/* A pod of `helm test`. Takes the chart's context, a name, variables, and a script that fails when the test does. */}}
{{- define "connector-cache.testPod" -}}
{{- $root := .root -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ include "connector-cache.fullname" $root }}-test-{{ .name }}
  namespace: {{ $root.Release.Namespace | quote }}
  labels:
    {{- include "connector-cache.labelsAnd" (dict "root" $root "labels" (dict "app.kubernetes.io/component" "test")) | nindent 4 }}
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: test
      image: {{ include "connector-cache.image" (dict "image" $root.Values.tests.image "tag" "latest") | quote }}
      imagePullPolicy: {{ $root.Values.tests.image.pullPolicy }}
      env:
        - name: URL
          value: {{ .url | quote }}
      command: [sh, -ec]
      args:
        - |
          {{- .script | nindent 10 }}
      {{- with $root.Values.securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml $root.Values.tests.resources | nindent 8 }}
{{- end -}}

{{- define "connector-cache.adminUrl" -}}
{{- printf "http://%s-admin.%s.svc:%d" (include "connector-cache.fullname" .) .Release.Namespace (int .Values.adminService.port) -}}
{{- end -}}
