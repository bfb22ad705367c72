#!/usr/bin/env bash
# Builds the real Jaeger, OpenTelemetry Collector, Prometheus and Alertmanager (with promtool and amtool) from the lock files in tests/e2e/servers, once, into a cache
# outside the tree, and prints the folder that holds the programs. What is there already is reused: a program's name has a
# hash of its lock files in it, so a changed lock file builds anew and an old build is never mistaken for a new one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
locks="$here/tests/e2e/servers"
cache="${LEADTRACE_SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/leadtrace/servers}"
builder_version=v0.155.0
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=mod"

say() { printf '%s real-servers: %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
command -v go >/dev/null || { say "Go is needed to build the real servers (1.26 or newer); install it and run again"; exit 1; }

build_jaeger() { # $1: where the program goes
  (cd "$locks/jaeger" && GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$1" github.com/jaegertracing/jaeger/cmd/jaeger)
}

build_prometheus() {
  (cd "$locks/prometheus" && GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$1" github.com/prometheus/prometheus/cmd/prometheus)
}

build_promtool() {
  (cd "$locks/promtool" && GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$1" github.com/prometheus/prometheus/cmd/promtool)
}

build_alertmanager() {
  (cd "$locks/alertmanager" && GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$1" github.com/prometheus/alertmanager/cmd/alertmanager)
}

build_amtool() {
  (cd "$locks/alertmanager" && GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$1" github.com/prometheus/alertmanager/cmd/amtool)
}

build_otelcol() {
  local work
  work=$(mktemp -d)
  GOBIN="$work/bin" GOFLAGS= go install "go.opentelemetry.io/collector/cmd/builder@$builder_version"
  cp "$locks/otelcol/builder.yaml" "$work/"
  # The builder only generates the sources; the module list is ours, because its own tidy step reaches for test-only modules.
  (cd "$work" && ./bin/builder --skip-compilation --skip-get-modules --config builder.yaml >&2)
  cp "$locks/otelcol/go.mod" "$locks/otelcol/go.sum" "$work/_build/"
  (cd "$work/_build" && GOFLAGS=-mod=readonly go build -trimpath -ldflags='-s -w' -o "$1" .)
  rm -rf "$work"
}

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9   # two runs at once build one after the other; the second finds what the first made
for server in jaeger otelcol prometheus promtool alertmanager amtool; do
  folder=$server
  [ "$server" = amtool ] && folder=alertmanager   # one lock for both
  key=$(cat "$locks/$folder"/* | sha256sum | cut -c1-12)
  target="$cache/$server-$key"
  if [ ! -x "$target" ]; then
    say "building $server (minutes on a first run) …"
    "build_$server" "$target.new"
    mv "$target.new" "$target"
    say "built $server ($(du -m "$target" | cut -f1) MB)"
  fi
  ln -sfn "$(basename "$target")" "$cache/$server"
done
printf '%s\n' "$cache"
