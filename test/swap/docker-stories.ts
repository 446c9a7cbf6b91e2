// Command lines that docker-cli.test.ts gives to both clients. A line is one call of docker; words may stand in single
// quotes, stdin stands behind "<<<".

/** Each story runs whole on one client, then on the other. A line may give stdin behind "<<<". */
export const STORIES: Record<string, string> = {
  running: `
    run --rm --network none busybox echo hi
    run --rm --network none busybox sh -c 'echo out; echo err >&2; exit 7'
    run --rm -i --network none busybox cat <<< some text
    run --rm --network none busybox nothere
    run --rm --network none busybox /etc
    run --rm --network none -w /tmp -e A=1 -u 5:6 busybox sh -c 'pwd; echo $A; id -u; id -g'
    run --rm --network none --entrypoint echo busybox entry
    run --rm --network none --memory 3m busybox true
    run --rm --network none --hostname h1 busybox cat /etc/hostname
    run --pull never nope:latest
    run --rm --network none -it busybox true
    run --rm --network none --cap-add NOPE busybox true
    run --rm --network nope busybox true
    run --rm --network none -v relative:/x:bad busybox true
    run --rm --network none --tmpfs /t --read-only busybox sh -c 'touch /t/a && touch /b'
    run --rm --network none busybox sh -c 'kill -9 $$'
    run --rm --network none busybox seq 1 3000
    run --rm -a stdout --network none busybox sh -c 'echo out; echo err >&2'
    run --rm -i --network none busybox head -c 3 <<< abcdef`,
  "a container's life": `
    run -di --name c1 --network none -l a=b -v vol1:/data -e X=1 busybox sh -c 'echo out; sleep 1; echo err >&2; cat'
    ps
    ps -a --no-trunc
    ps -aq
    ps -q --no-trunc
    ps --format '{{.ID}} {{.Names}} {{.Labels}} {{.Mounts}} {{.Networks}} {{.State}} {{.Ports}}|{{.Label "a"}}'
    ps --format '{{.Size}} {{.LocalVolumes}} {{.Platform}}'
    ps --format 'table {{.Names}}\\t{{.Status}}'
    ps --format 'table {{.Names | upper}}\\t{{.Command}}'
    ps -s
    ps -l
    ps -n 5
    ps -f name=c1 -f label=a
    ps -f name=zzz
    ps -f foo=bar
    ps -f foo
    ps --format '{{.Foo}}'
    ps --format '{{.Foo'
    ps --format '{{json .Names}}'
    logs c1
    logs --tail 1 c1
    exec c1 ls /nonexist
    exec c1 echo hi
    exec -i c1 cat <<< through exec
    exec c1 nothere
    exec -e A=2 -w /bin -u 3 c1 sh -c 'echo $A; pwd; id -u'
    exec -d c1 true
    exec nope ls
    exec -it c1 true
    inspect -f '{{.State.Status}} {{.State.Running}} {{.HostConfig.Memory}} {{.Config.Labels}} {{.Config.Cmd}}' c1
    inspect -f '{{range .Mounts}}{{.Type}} {{.Destination}}{{end}} {{json .Config.Env}} {{len .Args}}' c1
    inspect -f '{{if .State.Health}}yes{{else}}no{{end}} {{.HostConfig.Binds}} {{.HostConfig.CapAdd}}' c1
    inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}}{{end}}' c1
    inspect -f '{{.Foo}}' c1
    inspect -f '{{.State.Foo' c1
    inspect -f '{{index .Config.Env 0}}' c1
    inspect --type image c1
    inspect nope
    inspect nope c1 -f {{.Name}}
    container inspect nope
    container inspect -f json nope
    top c1 -o cmd
    port c1
    port c1 80
    diff c1
    rename c1 c2
    rename nope x
    pause c2
    exec c2 true
    attach c2
    unpause c2
    stats --no-stream --format '{{.Name}} {{.PIDs}}' c2
    update --memory 50m c2
    update c2
    stop -t 0 c2
    attach c2
    start c2
    start nope c2
    start c2 nope
    kill -s 9 c2
    wait c2
    kill c2
    ps -a --format '{{.Names}} {{.State}}'
    restart -t 0 c2 nope
    rm c2
    rm -f c2 nope
    rm -f nope
    rm nope nope2
    start -a nope
    volume rm vol1`,
  "create and start": `
    create --name d1 --network none -i busybox sh -c 'echo started; exit 3'
    create --name d1 --network none busybox
    start -a d1
    start d1
    wait d1
    logs d1
    logs nope
    cp d1:/bin/nothere /tmp
    cp nope:/x /tmp
    cp /nonexistent d1:/
    cp a b
    export d1 -o /nonexistent/x
    export nope
    commit nope
    commit d1 Bad
    container prune -f --filter label=none
    rm d1`,
  images: `
    images
    images -q
    images --digests
    images --no-trunc
    images nothing
    images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
    image ls --format 'table {{.ID}}\\t{{.Repository}}'
    image inspect busybox -f '{{.Id}} {{.Config.Cmd}} {{.RootFS.Layers}} {{.Architecture}}'
    image inspect nope
    history busybox
    history -q busybox
    history --no-trunc --human=false busybox
    tag busybox foo/bar:baz
    tag nope foo
    tag busybox Foo
    tag busybox foo@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    images foo/bar
    rmi foo/bar:baz
    rmi nope
    rmi -f nope
    save nope
    save busybox -o /nonexistent/x
    load -i /nonexistent
    load <<< garbage
    import /nonexistent
    import - bad@ref <<< x
    pull Bad
    image prune -f`,
  "volumes, networks, the system": `
    volume create foo
    volume create foo --label a=b --name bar
    volume ls
    volume ls -q
    volume ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}'
    volume inspect foo -f '{{.Name}} {{.Driver}}'
    volume inspect nope
    volume rm foo nope
    volume prune -f
    network ls --format '{{.Name}} {{.Driver}} {{.Scope}}'
    network ls
    network inspect none -f '{{.Name}} {{.Driver}}'
    network inspect nope
    network rm nope
    network rm none
    system df
    system df -v
    system prune -f
    version -f '{{.Server.Version}} {{.Server.APIVersion}} {{.Server.Os}}'
    version -f '{{.Foo}}'
    info -f '{{.ServerVersion}} {{.Driver}} {{.NCPU}}'
    info -f '{{.Foo'
    events --since 1h --until 0s -f type=nothing
    events --since nonsense
    search`,
  "command lines that do not fit": `
    run
    run --foo
    run -x a
    run -e
    run --env
    run --cpus x a
    run --pids-limit=x a
    run -m x a
    run -m 5q a
    run --rm=maybe x
    run --memory-swappiness 200 a
    run -p x:y a
    run -p 70000 a
    run -p 1:2:3:4 a
    run -p 5-3 a
    run --expose x a
    run --expose 1:2 a
    run --ulimit x a
    run --ulimit nofile=5:3 a
    run --mount foo a
    run --mount type=bind,foo=bar,target=/x a
    run --mount type=tmpfs,target=/x,bind-propagation=shared a
    run --mount type=volume a
    run --add-host x a
    run --add-host x:y a
    run --stop-timeout x a
    run --health-interval x a
    run --health-interval 5 a
    run --no-healthcheck --health-cmd x a
    run --restart x:y a
    run --rm --restart always a
    run --attach foo a
    run -d -a stdout a
    run --env-file /nonexist a
    run --label-file /nonexist a
    run --sysctl x a
    run --mac-address x a
    run --security-opt x a
    run --security-opt seccomp=/nonexist a
    run --storage-opt x a
    run --gpus x a
    run --dns x a
    run --pid x a
    run --uts x a
    run --userns x a
    run --cgroupns x a
    run --network= a
    run --network a --network a b
    run --network name=a,foo=b c
    run --device x a
    run --link : a
    run --cidfile /etc/passwd a
    run --pull sometimes a
    run --log-driver none --log-opt a=b a
    run --blkio-weight-device x a
    run --device-read-bps x:y a
    run -l =x a
    run -e =x a
    run -d --rm --help=x a
    run Bad
    run --cpu-count 2 --io-maxiops 3 busybox
    create --cpu-percent 2 --io-maxbandwidth 3 busybox
    create --annotation a=b --health-start-interval 2s busybox
    create --isolation foo busybox
    create Bad
    create --name -x busybox
    ps --foo
    ps a
    ps -aqx
    ps -n x
    ps -n
    exec a
    kill
    stop -t x a
    logs --tail
    logs
    logs a b
    foo
    container foo
    image inspect
    inspect --type foo a
    rename a
    tag a
    volume rm
    cp a
    --foo
    -H x:y ps
    -H unix:///nonexistent ps
    -H unix:///nonexistent run a
    -c foo ps
    help foo
    version x
    -l nonsense ps
    update nope
    network create
    wait
    port
    port a b c`,
};
