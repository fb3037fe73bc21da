#!/usr/bin/env bash
# An S3 test server on loopback: one Ceph monitor, one OSD, one RADOS gateway.
#
#   deploy/services/radosgw.sh up      start it, unless it is running, and print its address
#   deploy/services/radosgw.sh stop    kill the gateway: its port refuses connections, and its data remain
#   deploy/services/radosgw.sh start   start the gateway again
#   deploy/services/radosgw.sh down    stop it and delete its data
#
# Needs Debian's packages radosgw, ceph-mon and ceph-osd, but not root. Access key `dev`, secret key `devsecret`.
#
#   WINSLOW_RADOSGW_DIR    its directory                    (default: /var/tmp/winslow-radosgw)
#   WINSLOW_RADOSGW_PORT   the gateway's port               (default: 7480; the monitor uses the next two ports)
#   WINSLOW_RADOSGW_BYTES  maximum size of the disk file    (default: 32 GiB; the file is sparse)
set -euo pipefail

readonly DIR=${WINSLOW_RADOSGW_DIR:-/var/tmp/winslow-radosgw}
readonly PORT=${WINSLOW_RADOSGW_PORT:-7480}
readonly DISK_BYTES=${WINSLOW_RADOSGW_BYTES:-34359738368}
readonly HOST=127.0.0.1
readonly MON_PORT=$((PORT + 1)) MON_OLD_PORT=$((PORT + 2))
readonly ENDPOINT=http://$HOST:$PORT
readonly READY_WITHIN_S=120 GONE_WITHIN_S=30
export CEPH_CONF=$DIR/ceph.conf
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

need_programs() {
    local program
    for program in radosgw radosgw-admin ceph ceph-mon ceph-osd ceph-authtool monmaptool; do
        command -v "$program" >/dev/null ||
            fail "$program is not installed; on Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd"
    done
}

refuses() { ! answers; }

answers() { (exec 3<>"/dev/tcp/$HOST/$PORT") 2>/dev/null; }

our_pids() {
    local file pid
    for file in "$DIR"/run/*.pid; do
        [[ -e $file ]] || continue
        pid=$(<"$file")
        if is_ours "$pid"; then echo "$pid"; fi
    done
}

all_gone() { [[ -z $(our_pids) ]]; }

write_config() {
    cat >"$DIR/ceph.conf" <<CONF
[global]
fsid = $1
mon_host = [v2:$HOST:$MON_PORT/0,v1:$HOST:$MON_OLD_PORT/0]
public_addr = $HOST
cluster_addr = $HOST
ms_bind_ipv6 = false
keyring = $DIR/keyring
run_dir = $DIR/run
log_file = $DIR/log/\$name.log
admin_socket = $DIR/run/\$name.asok
pid_file = $DIR/run/\$name.pid
auth_allow_insecure_global_id_reclaim = false
# One disk, no replicas: this is a test server.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_crush_chooseleaf_type = 0
osd_objectstore = bluestore
bluestore_block_size = $DISK_BYTES
osd_memory_target = 1073741824
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
# Start even if the test machine's disk is nearly full.
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[mon]
mon_data = $DIR/mon
[osd]
osd_data = $DIR/osd
[client.rgw]
rgw_frontends = beast endpoint=$HOST:$PORT tcp_nodelay=1
rgw_dns_name = localhost
# Free deleted and overwritten objects within seconds, not hours.
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 5
rgw_gc_processor_max_time = 5
CONF
}

# Runs a command of the startup; prints its output only if it fails.
step() {
    "$@" >>"$DIR/log/up.out" 2>&1 </dev/null && return
    tail -n 10 "$DIR/log/up.out" >&2
    fail "command failed: $*"
}

start_monitor() {
    local keyring=$DIR/keyring
    step monmaptool --create --fsid "$1" --addv a "[v2:$HOST:$MON_PORT,v1:$HOST:$MON_OLD_PORT]" "$DIR/monmap"
    step ceph-authtool -C "$keyring" --gen-key -n mon. --cap mon 'allow *'
    step ceph-authtool "$keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
    step ceph-authtool "$keyring" --gen-key -n client.rgw --cap mon 'allow rwx' --cap osd 'allow rwx'
    step ceph-authtool "$keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
    step ceph-mon -i a -c "$CEPH_CONF" --mkfs --monmap "$DIR/monmap" --keyring "$keyring"
    step ceph-mon -i a -c "$CEPH_CONF"
}

start_disk() { # the first OSD gets the id 0
    step ceph osd create
    step ceph-osd -i 0 -c "$CEPH_CONF" --mkfs
    step ceph-osd -i 0 -c "$CEPH_CONF"
}

start_gateway() {
    setsid radosgw -c "$CEPH_CONF" -n client.rgw -f >"$DIR/log/radosgw.out" 2>&1 </dev/null &
    echo $! >"$DIR/run/radosgw.pid"
    wait_until "$READY_WITHIN_S" "the gateway at $ENDPOINT" answers
}

create_user() {
    step radosgw-admin -n client.rgw user create --uid=dev --display-name=dev \
        --access-key=dev --secret-key=devsecret
}

up() {
    need_programs
    if [[ -e $DIR/ready ]] && [[ -n $(our_pids) ]] && answers; then
        echo "$ENDPOINT"
        return
    fi
    down
    answers && fail "another program is using $ENDPOINT; set WINSLOW_RADOSGW_PORT"
    mkdir -p "$DIR"/{mon,osd,run,log}
    local fsid
    fsid=$(</proc/sys/kernel/random/uuid)
    write_config "$fsid"
    start_monitor "$fsid"
    start_disk
    start_gateway
    create_user
    touch "$DIR/ready"
    echo "$ENDPOINT"
}

down() {
    local pid
    for pid in $(our_pids); do kill "$pid" 2>/dev/null || true; done
    wait_until "$GONE_WITHIN_S" "the server processes to exit" all_gone
    rm -rf "$DIR"
}

stop() {
    local pid
    pid=$(<"$DIR/run/radosgw.pid")
    is_ours "$pid" || fail "the gateway is not running"
    kill -KILL "$pid"
    wait_until "$GONE_WITHIN_S" "the gateway to exit" refuses
}

case ${1:-} in
    up) up ;;
    stop) stop ;;
    start) start_gateway ;;
    down) down ;;
    *)
        say "usage: ${0##*/} up|stop|start|down"
        exit 2
        ;;
esac
