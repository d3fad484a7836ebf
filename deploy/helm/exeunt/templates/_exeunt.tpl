{{/*
Named templates for a chart of yours. In its Chart.yaml:

    dependencies:
      - {name: exeunt, version: 0.1.0, repository: "file://PATH/deploy/helm/exeunt"}

In the Pod template of a Job:

    {{- $exeunt := dict "image" "registry.example/exeunt:0.1.0" "deliver" "init" }}
    initContainers: {{- include "exeunt.initContainers" $exeunt | nindent 8 }}
    volumes: {{- include "exeunt.volumes" $exeunt | nindent 8 }}
    containers:
      - name: load
        command: {{ include "exeunt.command" (dict "exeunt" $exeunt "mode" "main" "command" (list "/load" "--all")) }}
        volumeMounts: {{- include "exeunt.volumeMounts" $exeunt | nindent 12 }}
      - name: proxy
        command: {{ include "exeunt.command" (dict "exeunt" $exeunt "mode" "sidecar" "command" (list "/proxy")) }}
        volumeMounts: {{- include "exeunt.volumeMounts" $exeunt | nindent 12 }}

"image" is the image that holds /exeunt. "deliver" is init (an init container brings it) or image (an image volume,
Kubernetes 1.35); with image leave out initContainers. "dir" is the directory that the containers share, /tmp/pod by default.
With "restartPolicy" "OnFailure" main is told so; "options" is a list of more options of exeunt's for one container.
*/}}

{{- define "exeunt.checked" -}}
{{- if not .image }}{{ fail "exeunt: which image holds it? dict \"image\" \"registry.example/exeunt:0.1.0\"" }}{{ end -}}
{{- if not (has (default "init" .deliver) (list "init" "image")) }}{{ fail (printf "exeunt: deliver is init or image, not %v" .deliver) }}{{ end -}}
{{- end -}}

{{/* The directory that is shared. */}}
{{- define "exeunt.dir" -}}
{{- default "/tmp/pod" .dir -}}
{{- end -}}

{{/* The whole command of a container, in one line. */}}
{{- define "exeunt.command" -}}
{{- include "exeunt.checked" .exeunt -}}
{{- if not (has .mode (list "main" "sidecar")) }}{{ fail (printf "exeunt: mode is main or sidecar, not %v" .mode) }}{{ end -}}
{{- if not .command }}{{ fail "exeunt: a command is wanted: the image's ENTRYPOINT is not known to Helm" }}{{ end -}}
{{- $dir := include "exeunt.dir" .exeunt -}}
{{- $program := ternary "/exeunt/exeunt" (printf "%s/exeunt" $dir) (eq (default "init" .exeunt.deliver) "image") -}}
{{- $words := list $program "--mode" .mode -}}
{{- if ne $dir "/tmp/pod" }}{{ $words = concat $words (list "--dir" $dir) }}{{ end -}}
{{- if and (eq .mode "main") (eq (default "" .exeunt.restartPolicy) "OnFailure") }}{{ $words = concat $words (list "--restart-policy" "on-failure") }}{{ end -}}
{{- concat $words (default list .options) (list "--") .command | toJson -}}
{{- end -}}

{{/* Items for volumes. */}}
{{- define "exeunt.volumes" -}}
{{- include "exeunt.checked" . -}}
{{- if eq (default "init" .deliver) "image" -}}
- {name: exeunt, image: {reference: {{ .image | toJson }}, pullPolicy: IfNotPresent}}
{{ end -}}
- {name: exeunt-pod, emptyDir: {}}
{{- end -}}

{{/* Items for the volumeMounts of each container with exeunt in front of its command. */}}
{{- define "exeunt.volumeMounts" -}}
{{- include "exeunt.checked" . -}}
{{- if eq (default "init" .deliver) "image" -}}
- {name: exeunt, mountPath: /exeunt, readOnly: true}
{{ end -}}
- {name: exeunt-pod, mountPath: {{ include "exeunt.dir" . }}}
{{- end -}}

{{/* An item for initContainers, the first of them. */}}
{{- define "exeunt.initContainers" -}}
{{- include "exeunt.checked" . -}}
{{- $dir := include "exeunt.dir" . -}}
{{- if eq (default "init" .deliver) "image" }}{{ fail "exeunt: an image volume needs no init container; leave it out, or use deliver: init" }}{{ end -}}
- name: exeunt
  image: {{ .image | toJson }}
  imagePullPolicy: IfNotPresent
  command: ["/exeunt", "install", {{ printf "%s/exeunt" $dir | toJson }}]
  resources: {requests: {cpu: "10m", memory: "16Mi"}, limits: {cpu: "100m", memory: "32Mi"}}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    runAsNonRoot: true
    runAsUser: 65532
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts: [{name: exeunt-pod, mountPath: {{ $dir }}}]
{{- end -}}
