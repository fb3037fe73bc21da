#!/usr/bin/env bash
# A Slurm test cluster on one machine: slurmctld and three slurmds, each with a host name and a network of its own.
#
#   deploy/services/slurm.sh up                    start it, unless it is running, and print the path of its slurm.conf
#   deploy/services/slurm.sh down                  end everything in it, and delete its files
#   deploy/services/slurm.sh address               print the address by which nodes reach this machine's services
#   deploy/services/slurm.sh x COMMAND…            run a command of Slurm, such as sinfo
#   deploy/services/slurm.sh on NODE COMMAND…      run a command on a node
#   deploy/services/slurm.sh kill ctld|NODE        kill slurmctld, or the slurmd of a node; jobs go on
#   deploy/services/slurm.sh ctld                  start slurmctld again
#   deploy/services/slurm.sh slurmd NODE           start the slurmd of a node again
#   deploy/services/slurm.sh off NODE              kill all processes of a node at once
#   deploy/services/slurm.sh cut NODE              cut a node off the network
#   deploy/services/slurm.sh heal NODE             connect it again
#   deploy/services/slurm.sh plug NODE             add a machine to the network, such as dyn1
#   deploy/services/slurm.sh network NODE          print the file of a node's network namespace
#   deploy/services/slurm.sh join NODE CONF        start a slurmd on it as a dynamic node with `slurmd -Z --conf CONF`
#
# Needs root, and Debian's packages slurm-wlm, munge, iproute2 and iptables. The node s1 has two GPUs of NVIDIA and the
# feature big, s2 has one GPU of AMD, s3 has none; dyn1 to dyn9 may have one of Intel. GPUs are device files without a
# driver. The configuration is deploy/slurm/slurm.conf with the paths and names of the test. Nodes reach what listens
# on the loopback address of this machine at `address`, at the same port.
#
#   WINSLOW_SLURM_DIR       its directory                      (default: /var/tmp/winslow-slurm)
#   WINSLOW_SLURM_CGROUPS   `yes`: hold jobs by control groups  (default: no; two such clusters would collide)
#   WINSLOW_SLURM_USER      the user of the services           (default: root)
#   WINSLOW_SLURM_MOUNTS    the file of a mount namespace in which the daemons run  (default: this process's)
set -euo pipefail

DIR=${WINSLOW_SLURM_DIR:-/var/tmp/winslow-slurm}
SHIPPED=$(cd "$(dirname "${BASH_SOURCE[0]}")/../slurm" && pwd)
# Names, addresses and numbers of jobs differ from those of clusters in other directories.
NUMBER=$(printf '%s' "$DIR" | cksum | cut -d ' ' -f 1)
PREFIX=wsl$(printf '%04x' $((NUMBER % 65536)))
NET=10.$((64 + NUMBER / 256 % 64)).$((NUMBER % 256))
FIRST_JOB=$((1 + NUMBER % 60000 * 1000))
readonly DIR SHIPPED PREFIX NET FIRST_JOB
readonly SLURM_USER=${WINSLOW_SLURM_USER:-root} MOUNTS=${WINSLOW_SLURM_MOUNTS:-/proc/self/ns/mnt}
readonly HOST=$NET.254 CONF=$DIR/etc/slurm.conf NODES=(s1 s2 s3)
readonly READY_WITHIN_S=60 GONE_WITHIN_S=30
# Minors of /dev/full, random, urandom and kmsg: harmless, and not those of /dev/null, which jobs need.
readonly GPU_MINORS=(7 8 9 11)
export SLURM_CONF=$CONF
source "$(dirname "${BASH_SOURCE[0]}")/processes.sh"

need_programs() {
    local program
    ((EUID == 0)) || fail "only root can start nodes"
    for program in slurmctld:slurm-wlm slurmd:slurm-wlm squeue:slurm-wlm munged:munge ip:iproute2 iptables:iptables; do
        command -v "${program%%:*}" >/dev/null ||
            fail "${program%%:*} is not installed; on Debian: apt-get install --no-install-recommends ${program##*:}"
    done
}

# --- the network ------------------------------------------------------------------------------------------------------

# The switch has a network of its own: in the machine's, Docker's firewall would drop what passes it.
make_network() {
    if ip -4 route show | grep -q "^$NET\."; then fail "the network $NET.0/24 is in use; set WINSLOW_SLURM_DIR"; fi
    ip netns add "$PREFIX-sw"
    ip -n "$PREFIX-sw" link add br0 type bridge
    ip -n "$PREFIX-sw" link set br0 up
    ip link add name "${PREFIX}h" type veth peer name phost netns "$PREFIX-sw"
    ip addr add "$HOST/24" dev "${PREFIX}h"
    ip link set "${PREFIX}h" up
    ip -n "$PREFIX-sw" link set phost master br0 up
    echo 1 >"/proc/sys/net/ipv4/conf/${PREFIX}h/route_localnet"
    forward_to_loopback -A
}

# What nodes, and this machine itself, send to HOST arrives at services that listen on loopback only.
forward_to_loopback() { # -A or -D
    local to=(-d "$HOST" -p tcp -j DNAT --to-destination 127.0.0.1)
    iptables -w -t nat "$1" PREROUTING -i "${PREFIX}h" "${to[@]}" && iptables -w -t nat "$1" OUTPUT "${to[@]}"
}

plug() { # name, last part of its address
    local name=$1 space=$PREFIX-$1
    ip netns add "$space"
    ip link add name e0 netns "$space" type veth peer name "p$name" netns "$PREFIX-sw"
    ip -n "$space" link set lo up
    ip -n "$space" addr add "$NET.$2/24" dev e0
    ip -n "$space" link set e0 up
    ip -n "$PREFIX-sw" link set "p$name" master br0 up
}

spaces() { ip netns list | cut -d ' ' -f 1 | grep "^$PREFIX-" || true; }

is_plugged() { spaces | grep -qx "$PREFIX-$1"; }

need_node() { is_plugged "${1:-}" || fail "there is no node ${1:-}; there are: $(spaces | sed "s/^$PREFIX-//" | xargs)"; }

# --- programs ---------------------------------------------------------------------------------------------------------

inside() { # node, command...
    local name=$1
    shift
    nsenter "--net=/run/netns/$PREFIX-$name" "--mount=$MOUNTS" unshare --uts sh -c "hostname $name; exec \"\$@\"" sh "$@"
}

start() { # name of the pid file, node, command...
    local name=$1 node=$2
    shift 2
    # Each program of this line runs the next one in its own process: the pid is that of the last.
    setsid nsenter "--net=/run/netns/$PREFIX-$node" "--mount=$MOUNTS" unshare --uts sh -c "hostname $node; exec \"\$@\"" sh "$@" \
        >>"$DIR/log/$name.out" 2>&1 </dev/null &
    echo $! >"$DIR/run/$name.pid"
}

running_pid() { # name of the pid file
    local pid
    [[ -e $DIR/run/$1.pid ]] || return 1
    pid=$(<"$DIR/run/$1.pid")
    is_ours "$pid" && echo "$pid"
}

start_ctld() { running_pid ctld >/dev/null || start ctld ctl slurmctld -D -f "$CONF"; }

start_slurmd() { # node, options of a dynamic node...
    need_node "$1"
    running_pid "$1" >/dev/null || start "$1" "$1" slurmd -D -f "$CONF" -N "$@"
}

kill_daemon() {
    local pid
    pid=$(running_pid "$1") || fail "$1 is not running"
    kill -KILL "$pid"
    wait_until "$GONE_WITHIN_S" "$1 to exit" gone "$pid"
}

gone() { ! is_ours "$1"; }

end_processes() { # namespace
    local pids
    mapfile -t pids < <(ip netns pids "$1")
    ((${#pids[@]} == 0)) || kill -KILL "${pids[@]}" 2>/dev/null || true
    wait_until "$GONE_WITHIN_S" "the processes of $1 to exit" is_empty "$1"
}

is_empty() { [[ -z $(ip netns pids "$1") ]]; }

start_munge() {
    dd if=/dev/urandom of="$DIR/munge/key" bs=1024 count=1 status=none
    chown munge: "$DIR/munge" "$DIR/munge/key"
    chmod 400 "$DIR/munge/key"
    setsid runuser -u munge -- munged --foreground --socket="$DIR/munge/socket" --key-file="$DIR/munge/key" \
        --pid-file="$DIR/munge/pid" --log-file="$DIR/munge/log" --seed-file="$DIR/munge/seed" \
        >"$DIR/log/munged.out" 2>&1 </dev/null &
    wait_until "$READY_WITHIN_S" "munged" test -S "$DIR/munge/socket"
}

# --- configuration ----------------------------------------------------------------------------------------------------

setting() { # name, value
    grep -q "^$1=" "$CONF" || fail "$SHIPPED/slurm.conf does not set $1"
    sed -i "s|^$1=.*|$1=$2|" "$CONF"
}

write_config() {
    grep -v '^#' "$SHIPPED/slurm.conf" >"$CONF"
    setting ClusterName "$PREFIX"
    setting SlurmctldHost "ctl($NET.1)"
    setting SlurmUser "$SLURM_USER"
    setting StateSaveLocation "$DIR/state"
    setting SlurmdSpoolDir "$DIR/spool/%n"
    setting SlurmctldPidFile "$DIR/spool/ctld.pid"
    setting SlurmdPidFile "$DIR/spool/%n.pid"
    setting SlurmctldLogFile "$DIR/log/ctld"
    setting SlurmdLogFile "$DIR/log/%n"
    setting Epilog "$DIR/etc/epilog"
    setting KillWait 5
    setting DefMemPerCPU 100
    if [[ ${WINSLOW_SLURM_CGROUPS:-no} != yes ]]; then
        setting ProctrackType proctrack/linuxproc
        setting TaskPlugin task/none
    fi
    cat >>"$CONF" <<CONF
AuthInfo=socket=$DIR/munge/socket
FirstJobId=$FIRST_JOB
NodeName=s1 NodeAddr=$NET.11 CPUs=8 RealMemory=8000 Gres=gpu:nvidia:2 Feature=big
NodeName=s2 NodeAddr=$NET.12 CPUs=8 RealMemory=8000 Gres=gpu:amd:1
NodeName=s3 NodeAddr=$NET.13 CPUs=8 RealMemory=8000
CONF
    cat >"$DIR/etc/gres.conf" <<CONF
NodeName=s1 Name=gpu Type=nvidia File=$DIR/dev/gpu[0-1]
NodeName=s2 Name=gpu Type=amd File=$DIR/dev/gpu2
NodeName=dyn[1-9] Name=gpu Type=intel File=$DIR/dev/gpu3
CONF
    cp "$SHIPPED/cgroup.conf" "$DIR/etc/cgroup.conf"
    install -m 755 "$SHIPPED/epilog" "$DIR/etc/epilog"
}

make_gpus() {
    local number
    for number in "${!GPU_MINORS[@]}"; do mknod "$DIR/dev/gpu$number" c 1 "${GPU_MINORS[$number]}"; done
}

# Slurmd leaves its control groups behind.
remove_cgroups() {
    local node
    for node in "${NODES[@]}"; do
        find /sys/fs/cgroup -depth -type d -path "*/slurm_$node*" -exec rmdir {} + 2>/dev/null || true
    done
}

# --- the whole --------------------------------------------------------------------------------------------------------

all_idle() { [[ $(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | wc -l) == "${#NODES[@]}" ]]; }

up() {
    need_programs
    if [[ -e $DIR/ready ]] && running_pid ctld >/dev/null; then
        echo "$CONF"
        return
    fi
    down
    mkdir -p "$DIR"/{etc,state,spool,log,run,dev,munge}
    chmod 755 "$DIR"
    chown "$SLURM_USER" "$DIR"/{state,spool,log}
    make_network
    write_config
    make_gpus
    start_munge
    plug ctl 1
    start_ctld
    local number
    for number in "${!NODES[@]}"; do
        plug "${NODES[$number]}" $((11 + number))
        start_slurmd "${NODES[$number]}"
    done
    wait_until "$READY_WITHIN_S" "the nodes to be idle" all_idle
    touch "$DIR/ready"
    echo "$CONF"
}

down() {
    local space pid
    for space in $(spaces); do
        end_processes "$space"
        ip netns del "$space"
    done
    if pid=$(cat "$DIR/munge/pid" 2>/dev/null) && is_ours "$pid"; then
        kill "$pid"
        wait_until "$GONE_WITHIN_S" "munged to exit" gone "$pid"
    fi
    if [[ ${WINSLOW_SLURM_CGROUPS:-no} == yes ]]; then remove_cgroups; fi
    while forward_to_loopback -D 2>/dev/null; do :; done
    ip link del "${PREFIX}h" 2>/dev/null || true
    rm -rf "$DIR"
}

usage() {
    say "usage: ${0##*/} up|down|address|x|on|kill|ctld|slurmd|off|cut|heal|plug|network|join"
    exit 2
}

verb=${1:-}
shift || usage
case $verb in
    up) up ;;
    down) down ;;
    address) echo "$HOST" ;;
    x) "$@" ;;
    on) need_node "${1:-}" && inside "$@" ;;
    kill) kill_daemon "$1" ;;
    ctld) start_ctld ;;
    slurmd) start_slurmd "$1" ;;
    off) need_node "${1:-}" && end_processes "$PREFIX-$1" ;;
    cut) need_node "${1:-}" && ip -n "$PREFIX-sw" link set "p$1" down ;;
    heal) need_node "${1:-}" && ip -n "$PREFIX-sw" link set "p$1" up ;;
    plug) is_plugged "$1" || plug "$1" $((20 + $(spaces | wc -l))) ;;
    network) need_node "${1:-}" && echo "/run/netns/$PREFIX-$1" ;;
    join) start_slurmd "$1" -Z --conf "$2" ;;
    *) usage ;;
esac
