/**
 * The projects of the world: where their source comes from, how their own build system is called with another compiler, and
 * which part of their own tests runs here. None of them is told of Kitsune.
 */

/** Something that needs a shell: run with `bash -e` in the project's folder, with $CC set. */
export type Script = string;

export interface OwnTests {
  readonly name: string;
  readonly script: Script;
  readonly limitSeconds: number;
}

export interface Project {
  readonly name: string;
  /** Source package of the distribution. */
  readonly source: string;
  /** As upstream released it, without the distribution's patches. */
  readonly unpatched?: boolean;
  readonly buildSystem: string;
  /** Packages of the distribution that must be installed. */
  readonly needs: readonly string[];
  readonly build: Script;
  readonly tests: readonly OwnTests[];
  /** Files with a path that matches are built, but not compared: generated from nothing, or of another project. */
  readonly notCompared?: RegExp;
}

export const projects: readonly Project[] = [
  {
    name: 'zlib',
    source: 'zlib',
    buildSystem: 'its own configure',
    needs: [],
    build: './configure && make -j2',
    tests: [
      { name: 'make test', script: 'make test', limitSeconds: 60 },
      {
        name: 'minigzip',
        script:
          './minigzip < trees.c > t.gz && gzip -dc t.gz | cmp - trees.c && gzip -c deflate.c | ./minigzip -d | cmp - deflate.c',
        limitSeconds: 60,
      },
    ],
  },
  {
    name: 'lua',
    source: 'lua5.4',
    unpatched: true,
    buildSystem: 'plain make',
    needs: [],
    build: 'make -j2 linux CC="$CC -std=gnu99"',
    tests: [
      { name: 'make test', script: 'make test', limitSeconds: 30 },
      {
        name: 'luac, closures, coroutines, string.dump, gc',
        script: `cat > t.lua <<'EOF'
local function gen(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end
local sum = 0
for i in gen(1000) do sum = sum + i end
assert(sum == 500500)
local t = setmetatable({}, {__mode = 'k'})
for i = 1, 10000 do t[{}] = i end
collectgarbage()
assert(next(t) == nil)
local f = load(string.dump(function(x) return x * 2 end))
assert(f(21) == 42)
assert(select('#', string.find('abc', '(b)(c)')) == 4)
assert(not pcall(error, 'x'))
assert(string.format('%5.2f|%q', 3.14159, 'a\\nb'):sub(1, 6) == ' 3.14|')
table.sort(t)
print(require('math').pi, os.time() > 0, io.open('t.lua'):read('a'):len() > 0)
EOF
src/luac -o t.luac t.lua && src/lua t.luac && src/lua t.lua`,
        limitSeconds: 30,
      },
    ],
  },
  {
    name: 'memcached',
    source: 'memcached',
    buildSystem: 'autoconf',
    needs: ['libevent-dev'],
    build: './configure CC="$CC" && make -j2',
    tests: [
      { name: 'testapp', script: './sizes > /dev/null && ./testapp', limitSeconds: 120 },
      {
        name: 'prove t/*.t',
        script:
          'prove t/00-startup.t t/binary-get.t t/bogus-commands.t t/cas.t t/dash-M.t t/evictions.t t/expirations.t t/flags.t t/flush-all.t t/getset.t t/incrdecr.t t/item_size_max.t t/lru.t t/maxconns.t t/metaget.t t/multiversioning.t t/noreply.t t/stats.t t/stats-conns.t t/touch.t t/udp.t t/unixsocket.t t/watcher.t',
        limitSeconds: 400,
      },
    ],
  },
  {
    name: 'redis',
    source: 'redis',
    unpatched: true,
    buildSystem: 'plain make',
    needs: ['tcl'],
    build: 'make -j2 CC="$CC" MALLOC=libc',
    notCompared: /^deps\//,
    tests: [
      {
        name: 'runtest unit/type, expire, multi, scripting',
        script:
          './runtest --clients 2 --single unit/type/string --single unit/type/incr --single unit/type/list-3 --single unit/type/hash --single unit/type/set --single unit/type/stream --single unit/expire --single unit/multi --single unit/scripting --single unit/pubsub --single unit/keyspace --single unit/protocol',
        limitSeconds: 900,
      },
    ],
  },
  {
    name: 'mosquitto',
    source: 'mosquitto',
    buildSystem: 'CMake',
    needs: ['cmake', 'libssl-dev', 'libcjson-dev'],
    // Its tests look for the broker where its Makefile puts it.
    build:
      'cmake -S . -B out -DCMAKE_C_COMPILER="$CC" -DCMAKE_BUILD_TYPE=Release -DDOCUMENTATION=OFF -DWITH_LIB_CPP=OFF -DWITH_STATIC_LIBRARIES=ON && cmake --build out -j2 && ln -sf ../out/src/mosquitto src/mosquitto',
    tests: [
      {
        name: 'test/broker, a part',
        // The distribution's look for the broker that is installed.
        script: `sed -i 's#/usr/sbin/mosquitto#../../src/mosquitto#' test/mosq_test.py; cd test/broker && failed= && for t in 01-connect-success 01-connect-disconnect-v5 01-connect-uname-password-denied 02-shared-qos0-v5 02-subpub-qos0 02-subpub-qos1 02-subpub-qos2 02-unsubscribe-qos2 03-publish-b2c-disconnect-qos1 03-publish-qos2 03-pattern-matching 04-retain-qos0 04-retain-check-source 05-clean-session-qos1 07-will-qos0 07-will-delay 10-listener-mount-point 11-message-expiry 11-persistent-subscription 12-prop-assigned-client-identifier 13-malformed-publish-v5; do
timeout 60 python3 ./$t.py || failed="$failed $t"; done; [ -z "$failed" ] || { echo "failed:$failed"; exit 1; }`,
        limitSeconds: 600,
      },
    ],
  },
  {
    name: 'lighttpd',
    source: 'lighttpd',
    buildSystem: 'Meson',
    needs: ['meson', 'ninja-build', 'libpcre2-dev', 'zlib1g-dev', 'libcrypt-dev'],
    build:
      'meson setup out -Dwith_pcre=pcre2 -Dwith_zlib=enabled -Dbuild_static=false --libdir=lib --buildtype=debugoptimized && ninja -j2 -C out',
    tests: [{ name: 'meson test', script: 'meson test -C out --print-errorlogs', limitSeconds: 300 }],
  },
  {
    name: 'nginx',
    source: 'nginx',
    buildSystem: 'its own configure',
    needs: ['libpcre2-dev', 'zlib1g-dev', 'libssl-dev', 'curl'],
    build:
      './configure --with-cc="$CC" --with-http_ssl_module --with-http_v2_module --with-threads --with-stream && make -j2',
    tests: [
      {
        name: 'nginx -t, a file, a 404, a reload, quit',
        script: `mkdir -p run/logs run/html run/conf && echo hello > run/html/index.html
printf 'worker_processes 2; error_log logs/e.log; pid logs/n.pid; events { worker_connections 64; } http { access_log off; server { listen 127.0.0.1:18473; root html; location /gz { gzip on; return 200 ok; } } }' > run/conf/nginx.conf
objs/nginx -p "$PWD/run/" -c conf/nginx.conf -t && objs/nginx -p "$PWD/run/" -c conf/nginx.conf
trap 'objs/nginx -p "$PWD/run/" -c conf/nginx.conf -s stop || true' EXIT
for i in 1 2 3 4 5 6 7 8 9 10; do [ "$(curl -s http://127.0.0.1:18473/)" = hello ] && break; sleep 0.3; done
[ "$(curl -s http://127.0.0.1:18473/)" = hello ] && [ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18473/none)" = 404 ]
objs/nginx -p "$PWD/run/" -c conf/nginx.conf -s reload && sleep 1 && [ "$(curl -s http://127.0.0.1:18473/gz)" = ok ]`,
        limitSeconds: 60,
      },
    ],
  },
  {
    name: 'sqlite',
    source: 'sqlite3',
    buildSystem: 'autoconf, libtool',
    needs: ['tcl-dev', 'tcl'],
    build: './configure CC="$CC" --enable-shared=no && make -j2 sqlite3 testfixture',
    tests: [
      {
        name: 'testfixture, a part',
        script: `for t in select1 select2 insert update delete join where index trans lock collate1 autoinc alter trigger1 view fts3aa json101 window1 with1 savepoint malloc5 backup wal; do ./testfixture test/$t.test | tail -n 3 | grep '0 errors'; done`,
        limitSeconds: 600,
      },
      {
        name: 'the shell',
        script: `[ "$(echo "create table t(a); insert into t values(1),(2),(3); select sum(a), count(*) from t;" | ./sqlite3)" = "6|3" ]`,
        limitSeconds: 30,
      },
    ],
  },
  {
    name: 'icecast',
    source: 'icecast2',
    buildSystem: 'dpkg-buildpackage',
    needs: ['debhelper', 'libxslt1-dev', 'libvorbis-dev', 'libssl-dev', 'autoconf', 'automake', 'libtool'],
    build:
      'CC="$CC" DEB_BUILD_OPTIONS="parallel=2 nocheck" dpkg-buildpackage -b -us -uc -d --no-pre-clean --no-sign',
    tests: [
      {
        name: 'serves its status page, and ends',
        script: `printf '<icecast><limits><clients>10</clients><sources>2</sources></limits><authentication><source-password>x</source-password><admin-user>admin</admin-user><admin-password>y</admin-password></authentication><hostname>localhost</hostname><listen-socket><port>18474</port><bind-address>127.0.0.1</bind-address></listen-socket><paths><logdir>'$PWD'</logdir><webroot>'$PWD'/web</webroot><adminroot>'$PWD'/admin</adminroot></paths><logging><accesslog>a.log</accesslog><errorlog>e.log</errorlog></logging><security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security></icecast>' > i.xml
chmod a+rwx .
serve() {
  served=; src/icecast -c i.xml & pid=$!
  for i in 1 2 3 4 5 6 7 8 9 10; do curl -s http://127.0.0.1:18474/status-json.xsl | grep icestats && served=yes && break; sleep 0.3; done
  kill $pid || true; wait $pid || true; [ -n "$served" ]
}
# Once in ten starts it dies of a signal, whoever built it.
serve || serve || serve`,
        limitSeconds: 60,
      },
    ],
  },
  {
    name: 'tor',
    source: 'tor',
    buildSystem: 'autoconf',
    needs: ['libevent-dev', 'libssl-dev', 'zlib1g-dev'],
    build: './configure CC="$CC" --disable-asciidoc && make -j2',
    tests: [
      {
        name: 'src/test/test, a part',
        script:
          'src/test/test container/.. util/.. crypto/.. buffer/.. dir/.. && : > empty.torrc && src/app/tor --verify-config -f empty.torrc --quiet DataDirectory "$PWD/d"',
        limitSeconds: 600,
      },
    ],
  },
];
