#!/bin/sh
# The load balancer of docker/compose.yml and docker/kubernetes: nginx with nginx.conf, and the addresses of the nodes
# as DNS has them, looked up every second. nginx itself would only look them up when it starts, or (from 1.27.3 on, with
# `resolve`) keep them in the order in which answers come, which makes every load balancer share partitions differently.
#
# COMMAND, QUERY: the names that all nodes of a role answer to.   NODE_PORT: their port.   PARTITIONS: of the database.
# LISTEN: where to listen.   EDGE_DIRECTORY: an empty place to write to.
set -eu
: "${COMMAND:=command}" "${QUERY:=query}" "${NODE_PORT:=3000}" "${PARTITIONS:=16}" "${LISTEN:=8080}"
: "${EDGE_DIRECTORY:=/tmp/edge}"
rules="$(dirname "$0")/nginx.conf"
remembers="max_fails=3 fail_timeout=5s"

addresses() {
  getent ahostsv4 "$1" | awk '{ print $1 }' | sort -u || true
}

# Sorted, so that all load balancers share the partitions out alike; nodes beyond their number get none.
command_lines() {
  awk -v port="$NODE_PORT" -v partitions="$PARTITIONS" -v remembers="$remembers" '
    { node[NR - 1] = $1 }
    END {
      for (i = 0; i < NR; i++) {
        share = int(partitions / NR) + (i < partitions % NR)
        if (share > 0) printf "server %s:%s weight=%d %s;\n", node[i], port, share, remembers
      }
    }'
}

lines() {
  awk -v port="$NODE_PORT" -v parameters="$1" '{ printf "server %s:%s %s;\n", $1, port, parameters }'
}

# Writes the files of one role where DNS knows nodes of it, and leaves them as they are where it does not: a name server
# that is away must not take everything else with it. Succeeds if something has changed.
write_nodes() {
  found="$(addresses "$2")"
  if [ -z "$found" ]; then return 1; fi
  if [ "$found" = "$(cat "$EDGE_DIRECTORY/nodes/$1.addresses" 2>/dev/null)" ]; then return 1; fi
  echo "$1 nodes: $(echo "$found" | tr '\n' ' ')"
  if [ "$1" = command ]; then
    echo "$found" | command_lines >"$EDGE_DIRECTORY/nodes/command.conf"
  else
    echo "$found" | lines "$remembers" >"$EDGE_DIRECTORY/nodes/$1.conf"
  fi
  echo "$found" | lines max_fails=0 >"$EDGE_DIRECTORY/nodes/$1-elsewhere.conf"
  echo "$found" >"$EDGE_DIRECTORY/nodes/$1.addresses"
}

mkdir -p "$EDGE_DIRECTORY/nodes"
sed "s/listen 8080;/listen $LISTEN;/" "$rules" >"$EDGE_DIRECTORY/nginx.conf"
# Until there are nodes: nginx refuses a group without any, and to this one no connection can be made.
for group in command command-elsewhere query query-elsewhere; do
  echo "server 127.0.0.1:1 max_fails=0;" >"$EDGE_DIRECTORY/nodes/$group.conf"
done
write_nodes command "$COMMAND" || true
write_nodes query "$QUERY" || true

nginx -e stderr -p "$EDGE_DIRECTORY/" -c "$EDGE_DIRECTORY/nginx.conf" -g "daemon off;" &
nginx=$!
trap 'kill -QUIT $nginx' TERM QUIT INT

# `wait` ends at once when a signal comes; a `sleep` in the foreground would hold it up.
while kill -0 $nginx 2>/dev/null; do
  sleep 1 &
  wait $! || true
  changed=false
  if write_nodes command "$COMMAND"; then changed=true; fi
  if write_nodes query "$QUERY"; then changed=true; fi
  if $changed && kill -0 $nginx 2>/dev/null; then kill -HUP $nginx; fi
done
wait $nginx
